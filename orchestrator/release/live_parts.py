"""Find out which commit each live part of an environment was built from.  Pure.

After a rollback of some parts, those are of an earlier commit than the others.
"""

from __future__ import annotations

from collections.abc import Iterator

from msgspec import Struct

from orchestrator.release import Ledger, Release, Vector


class LivePart(Struct, frozen=True):
    """One part of the current release, such as ``site:bucket.web``, and the newest deploy that shipped its content."""

    name: str
    release: Release


def find_live_parts(ledger: Ledger) -> tuple[LivePart, ...]:
    """Return the parts of the current release; empty if there is none that is complete."""
    current = ledger.current_release
    if current is None or not current.is_complete:
        return ()
    deploys = [release for release in reversed(ledger.releases) if release.of is None and release.is_complete]
    parts = []
    for name, content in _iter_parts(current.vector):
        source = next((deploy for deploy in deploys if dict(_iter_parts(deploy.vector)).get(name) == content), None)
        if source is not None:  # else its deploy is no longer in the ledger
            parts.append(LivePart(name, source))
    return tuple(parts)


def find_artefact_commit(ledger: Ledger) -> str:
    """Return the commit that the current images and sites were built from, or "".

    An environment that is promoted to also deploys manifests of newer commits.
    """
    release = ledger.last_complete
    while release is not None and release.of is not None:
        release = ledger.find(release.of)
    if release is None or not release.promoted_from:
        return release.commit if release is not None else ""
    same = (item for item in ledger.releases if item.promoted_from == release.promoted_from and item.of is None)
    return next(same, release).commit


def _iter_parts(vector: Vector) -> Iterator[tuple[str, object]]:
    """Yield the parts of a release that come from its commit: manifests, images and sites."""
    yield "manifests", vector.manifests
    yield from ((f"image:{handle}", image) for handle, image in sorted(vector.images.items()))
    yield from ((f"site:{handle}", digest) for handle, digest in sorted(vector.sites.items()))
