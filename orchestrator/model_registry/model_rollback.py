"""Models that were uploaded since the last release.  No deploy wrote them down, and a rollback leads back from them.

API: S3 GetObject of each pointer; a copy of it goes to the release bucket before it is left, so that it can come again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.aws.reader import AwsCaller
from orchestrator.manifest import expand
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problems
from orchestrator.release import Ledger, Release, live_versions
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.rollback import PART_KINDS


class Pointer(Struct, frozen=True):
    """The version that one bucket's pointer names now, and its bytes."""

    bucket: str
    version: str
    data: bytes


def read_pointers(manifest: Manifest, caller: AwsCaller) -> Mapping[str, Pointer]:
    """The pointers as they are, by the handles of their buckets.  Raises Problems."""
    stack = expand.build_stack(manifest)
    pointers_by_handle = {}
    for handle, component in stack.components.items():
        if not live_versions.is_model_bucket(component):
            continue
        bucket = str(stack.exports_by_handle[handle]["name"])
        body = live_versions.read_model_pointer(bucket, caller)
        version = live_versions.parse_pointer_version(body) if body is not None else None
        if body is not None and version is not None:
            pointers_by_handle[handle] = Pointer(bucket, version, body)
    return pointers_by_handle


def with_uploaded_models(ledger: Ledger, live_pointers: Mapping[str, Pointer]) -> Ledger:
    """The ledger, its last release with the models that stand now."""
    current_release = ledger.current_release
    if current_release is None:
        return ledger
    models = {**current_release.vector.models, **{handle: pointer.version for handle, pointer in live_pointers.items()}}
    updated_release = replace(current_release, vector=replace(current_release.vector, models=models))
    return replace(ledger, releases=(*ledger.releases[:-1], updated_release))


def find_previous_release(ledger: Ledger, live_pointers: Mapping[str, Pointer]) -> Release:
    """The newest release, the standing one too, that had another model than the one in use.

    Raises Problems: there is none.
    """
    live_versions = {handle: pointer.version for handle, pointer in live_pointers.items()}
    for release in reversed(ledger.releases):
        models = release.vector.models
        if release.is_complete and any(
            models.get(handle, version) != version for handle, version in live_versions.items()
        ):
            return release
    version_list = ", ".join(sorted(set(live_versions.values()))) or "none"
    raise Problems.from_message(
        f"no release had another model than the one in use ({version_list})",
        hint="a release remembers the model that was in use when it was deployed; upload the earlier one again: "
        "python -m ml.upload_model runs/VERSION",
    )


def is_models_only(part_words: Iterable[str]) -> bool:
    """Whether only models are to go back."""
    return {PART_KINDS.get(part_word) for part_word in part_words} == {"model"}


def save_pointers(live_pointers: Mapping[str, Pointer], store: LedgerStore) -> None:
    """Keep a copy of every pointer, as releases do: by it a failed rollback finds back.  Raises Problems."""
    for pointer in live_pointers.values():
        store.put(f"models/{pointer.bucket}/{pointer.version}.json", pointer.data, previous=None)
