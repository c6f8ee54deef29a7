"""Decide whether a model may replace the one in use: parity, the comparison with it, and a reason to override them."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator.model_registry.registry import ModelMetadata, ModelPointer
from orchestrator.problems import Problem, Problems


def check_publishable(
    metadata: ModelMetadata, current_pointer: ModelPointer | None, force_reason: str, *, validate_command: str
) -> ModelMetadata:
    """Return ``metadata`` if it may replace ``current_pointer``; ``force_reason`` overrides the checks and is stored.

    ``validate_command`` is used in hints.  Raises Problems if the model is worse, differs between Keras and browsers,
    or was compared with another model than the one in use.
    """
    if current_pointer is not None and current_pointer.version == metadata.version:
        return metadata
    problems = []
    if not metadata.parity.is_consistent:
        reason = metadata.parity.fault or "not compared"
        problems.append(Problem(f"model {metadata.version} failed the parity check: {reason}", hint=validate_command))
    if metadata.verdict.says == "worse":
        problems.append(
            Problem(f"model {metadata.version} is worse than {metadata.verdict.against}", hint="train again")
        )
    if metadata.verdict.against != (current_pointer.version if current_pointer else ""):
        current_version, compared_version = (
            (current_pointer.version if current_pointer else "none"),
            metadata.verdict.against or "none",
        )
        problems.append(
            Problem(
                f"the model in use is {current_version}; {metadata.version} was compared with {compared_version}",
                hint=validate_command,
            )
        )
    if problems and not force_reason.strip():
        override_problem = Problem(
            "nothing was uploaded", hint="add --force REASON to upload it anyway; the reason is stored with the model"
        )
        raise Problems([*problems, override_problem])
    return replace(metadata, verdict=replace(metadata.verdict, forced=force_reason.strip() if problems else ""))
