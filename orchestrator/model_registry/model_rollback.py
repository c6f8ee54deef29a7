"""Models that were uploaded since the last release.  No deploy wrote them down, and a rollback leads back from them.

API: S3 GetObject of each pointer; a copy of it goes to the release bucket before it is left, so that it can come again.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.aws.reader import Caller
from orchestrator.manifest import expand
from orchestrator.manifest.check import Manifest
from orchestrator.problems import Problems
from orchestrator.release import Ledger, Release, live_versions
from orchestrator.release.ledger_store import Store
from orchestrator.release.rollback import WORDS


class Pointer(Struct, frozen=True):
    """The version that one bucket's pointer names now, and its bytes."""

    bucket: str
    version: str
    body: bytes


def pointers(manifest: Manifest, caller: Caller) -> Mapping[str, Pointer]:
    """The pointers as they are, by the handles of their buckets.  Raises Problems."""
    stack = expand.stack_of(manifest)
    found = {}
    for handle, component in stack.components.items():
        if not live_versions.holds_models(component):
            continue
        bucket = str(stack.exported[handle]["name"])
        body = live_versions.pointer(bucket, caller)
        version = live_versions.version_of(body) if body is not None else None
        if body is not None and version is not None:
            found[handle] = Pointer(bucket, version, body)
    return found


def seen(ledger: Ledger, now: Mapping[str, Pointer]) -> Ledger:
    """The ledger, its last release with the models that stand now."""
    standing = ledger.standing
    if standing is None:
        return ledger
    models = {**standing.vector.models, **{handle: one.version for handle, one in now.items()}}
    changed = replace(standing, vector=replace(standing.vector, models=models))
    return replace(ledger, releases=(*ledger.releases[:-1], changed))


def before(ledger: Ledger, now: Mapping[str, Pointer]) -> Release:
    """The newest release, the standing one too, that had another model than the one in use.

    Raises Problems: there is none.
    """
    live = {handle: one.version for handle, one in now.items()}
    for release in reversed(ledger.releases):
        models = release.vector.models
        if release.is_whole and any(models.get(handle, version) != version for handle, version in live.items()):
            return release
    told = ", ".join(sorted(set(live.values()))) or "none"
    raise Problems.one(
        f"no release had another model than the one in use ({told})",
        hint="a release remembers the model that was in use when it was deployed; upload the earlier one again: "
        "python -m ml.upload_model runs/VERSION",
    )


def are_all(words: Iterable[str]) -> bool:
    """Whether only models are to go back."""
    return {WORDS.get(word) for word in words} == {"model"}


def keep(now: Mapping[str, Pointer], store: Store) -> None:
    """Keep a copy of every pointer, as releases do: by it a failed rollback finds back.  Raises Problems."""
    for one in now.values():
        store.put(f"models/{one.bucket}/{one.version}.json", one.body, over=None)
