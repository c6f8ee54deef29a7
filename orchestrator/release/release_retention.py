"""Choose the releases that the ledger keeps: those that a rollback can restore, and the newest failed ones.  Pure."""

from __future__ import annotations

from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.release import Ledger, Release, Vector

MAX_FAILED_RELEASES = 20
"""How many failed releases the ledger keeps; they cannot be restored."""


def select_retained(ledger: Ledger, max_releases: int) -> tuple[Release, ...]:
    """Return the releases to keep, oldest first: those of the newest distinct vectors, failed ones, and pinned ones.

    A rollback restores a vector that is there already: of each vector, its first release and its newest are kept.
    """
    complete_releases = [release for release in ledger.releases if release.is_complete]
    failed_releases = [release for release in ledger.releases if not release.is_complete]
    numbers_by_vector: dict[bytes, list[int]] = {}
    for release in reversed(complete_releases):
        numbers_by_vector.setdefault(_identity(release.vector), []).append(release.number)
    newest = [numbers for numbers, _ in zip(numbers_by_vector.values(), range(max_releases), strict=False)]
    kept_numbers = {number for numbers in newest for number in (numbers[0], numbers[-1])}
    kept_numbers |= {release.number for release in failed_releases[-MAX_FAILED_RELEASES:]}
    kept_numbers |= {number for pin in ledger.pins for number in (pin.release, pin.left)}
    return tuple(release for release in ledger.releases if release.number in kept_numbers)


def _identity(vector: Vector) -> bytes:
    """Return what a release restores: not the schema version, which a rollback leaves."""
    return canonical_json.dump(replace(vector, schemas={}))
