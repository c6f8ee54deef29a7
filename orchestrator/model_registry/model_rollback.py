"""Roll back from models that were uploaded after the last release, which no deploy has recorded.

API: S3 GetObject of each pointer; a copy goes to the release bucket before a rollback, so that it can be restored.
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
    """The version in one bucket's current pointer, and the bytes of the pointer."""

    bucket: str
    version: str
    data: bytes


def read_pointers(manifest: Manifest, caller: AwsCaller) -> Mapping[str, Pointer]:
    """Return the current pointers, by the handles of their buckets.  Raises Problems if one cannot be read."""
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
    """Return the ledger with the live models in its last release."""
    current_release = ledger.current_release
    if current_release is None:
        return ledger
    models = {**current_release.vector.models, **{handle: pointer.version for handle, pointer in live_pointers.items()}}
    updated_release = replace(current_release, vector=replace(current_release.vector, models=models))
    return replace(ledger, releases=(*ledger.releases[:-1], updated_release))


def find_previous_release(ledger: Ledger, live_pointers: Mapping[str, Pointer]) -> Release:
    """Return the newest release, including the current one, that had a different model than the live one.

    Raises Problems if there is none.
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
        f"no release used a model other than the one in use ({version_list})",
        hint="to use any uploaded version again, list the versions with `orchestrator model list`, then run "
        "`orchestrator model use VERSION`",
    )


def is_models_only(part_words: Iterable[str]) -> bool:
    """Return whether a rollback covers only models."""
    return {PART_KINDS.get(part_word) for part_word in part_words} == {"model"}


def save_pointers(live_pointers: Mapping[str, Pointer], store: LedgerStore) -> None:
    """Store a copy of every pointer, from which a failed rollback restores it.  Raises Problems if a write fails."""
    for pointer in live_pointers.values():
        store.put(f"models/{pointer.bucket}/{pointer.version}.json", pointer.data, previous=None)
