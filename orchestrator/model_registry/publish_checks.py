"""Decide whether a model may replace the one in use: parity, the comparison with it, and a reason to override them."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from msgspec.structs import replace

from orchestrator.model_registry.registry import ModelMetadata, ModelPointer
from orchestrator.problems import Problem, Problems
from orchestrator.quantities import format_count

MAX_NAMED_PRODUCTS = 20


def check_publishable(
    metadata: ModelMetadata,
    current_pointer: ModelPointer | None,
    force_reason: str,
    *,
    validate_command: str,
    download_command: str = "python -m ml.download_photos",
) -> ModelMetadata:
    """Return ``metadata`` if it may replace ``current_pointer``; ``force_reason`` overrides the checks and is stored.

    ``validate_command`` and ``download_command`` are used in hints.  Raises Problems if the model is worse, lost
    products, differs between Keras and browsers, or was compared with another model than the one in use.
    """
    if current_pointer is not None and current_pointer.version == metadata.version:
        return metadata
    problems = list(_list_problems(metadata, current_pointer, validate_command, download_command))
    if problems and not force_reason.strip():
        override_problem = Problem(
            "nothing was uploaded", hint="add --force REASON to upload it anyway; the reason is stored with the model"
        )
        raise Problems([*problems, override_problem])
    return replace(metadata, verdict=replace(metadata.verdict, forced=force_reason.strip() if problems else ""))


def _list_problems(
    metadata: ModelMetadata, current_pointer: ModelPointer | None, validate_command: str, download_command: str
) -> Iterator[Problem]:
    if not metadata.parity.is_consistent:
        reason = metadata.parity.fault or "not compared"
        yield Problem(f"model {metadata.version} failed the parity check: {reason}", hint=validate_command)
    if metadata.verdict.says == "worse":
        yield Problem(f"model {metadata.version} is worse than {metadata.verdict.against}", hint="train again")
    if metadata.verdict.lost:
        yield Problem(
            f"model {metadata.version} does not recognise {_list_names(metadata.verdict.lost)}; model "
            f"{metadata.verdict.against} does, and the products still have photos",
            hint=f"download all photos, then train again: {download_command}",
        )
    if metadata.verdict.against != (current_pointer.version if current_pointer else ""):
        current_version, compared_version = (
            (current_pointer.version if current_pointer else "none"),
            metadata.verdict.against or "none",
        )
        yield Problem(
            f"the model in use is {current_version}, but {metadata.version} was compared with {compared_version}",
            hint=validate_command,
        )


def _list_names(names: Sequence[str]) -> str:
    """Return the names in one phrase, at most ``MAX_NAMED_PRODUCTS`` of them."""
    more = len(names) - MAX_NAMED_PRODUCTS
    named = ", ".join(names[:MAX_NAMED_PRODUCTS]) + (f" and {more} more" if more > 0 else "")
    return f"{format_count(len(names), 'product')} ({named})"
