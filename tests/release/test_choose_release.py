"""Which release a rollback without a number restores, as tables over ledgers of several releases.

A row of a ledger is the content (one letter each), the result, and the release that a rollback restored.
"""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.problems import Problems
from orchestrator.release import Ledger, Pin, Release, Vector, rollback

Row = tuple[str, Any] | tuple[str, Any, int]
CASES: dict[str, tuple[list[Row], set[int], list[int]]] = {
    "the newest of several": ([("a", "healthy"), ("b", "healthy"), ("c", "healthy")], set(), [2, 1]),
    "one that failed is left out": ([("a", "healthy"), ("b", "failed"), ("c", "healthy")], set(), [1]),
    "one that was killed is left out": ([("a", "healthy"), ("b", "started"), ("c", "healthy")], set(), [1]),
    "one alike is no way back": ([("a", "healthy"), ("b", "healthy"), ("b", "healthy")], set(), [1]),
    "after a failure one alike is": ([("a", "healthy"), ("b", "healthy"), ("b", "failed")], set(), [2, 1]),
    "one that was rolled back is not chosen again": (
        [("a", "healthy"), ("b", "healthy"), ("a", "healthy", 1), ("c", "healthy")],
        {2},
        [3, 1],
    ),
    "nor is what restored it": (
        [("a", "healthy"), ("b", "healthy"), ("a", "healthy", 1), ("b", "healthy", 2), ("c", "healthy")],
        {2},
        [3, 1],
    ),
    "two that were rolled back": (
        [("a", "healthy"), ("b", "healthy"), ("c", "healthy"), ("d", "healthy")],
        {2, 3},
        [1],
    ),
    "one that was proved before one that was not": (
        [("a", "healthy"), ("b", "unproved"), ("c", "healthy"), ("d", "unproved"), ("e", "healthy")],
        set(),
        [3, 1, 4, 2],
    ),
    "a rollback that was killed goes on": (
        [("a", "healthy"), ("b", "healthy"), ("c", "healthy"), ("a", "started", 1)],
        set(),
        [1],
    ),
    "a rollback that failed goes on": (
        [("a", "healthy"), ("b", "healthy"), ("c", "healthy"), ("a", "failed", 1)],
        set(),
        [1],
    ),
    "a rollback that is complete is a release like others": (
        [("a", "healthy"), ("b", "healthy"), ("a", "healthy", 1)],
        set(),
        [2],
    ),
    "the only one": ([("a", "healthy")], set(), []),
    "none": ([], set(), []),
}


def make_ledger(rows: list[Row], pinned: set[int]) -> Ledger:
    releases = tuple(
        Release(number, "", "ana", "", Vector(content), result, of=more[0] if more else None)
        for number, (content, result, *more) in enumerate(rows, 1)
    )
    return Ledger(releases, pins=tuple(Pin("manifest:x.y", "", 1, left, "", "ana") for left in sorted(pinned)))


@pytest.mark.parametrize(("rows", "pinned", "expected"), CASES.values(), ids=CASES)
def test_the_releases_are_tried_in_this_order(rows: list[Row], pinned: set[int], expected: list[int]) -> None:
    ledger = make_ledger(rows, pinned)

    assert [release.number for release in rollback.list_candidates(ledger)] == expected
    if expected:
        assert rollback.choose_release(ledger, None).number == expected[0]
    else:
        with pytest.raises(Problems, match=r"there are no releases yet|no release to roll back to"):
            rollback.choose_release(ledger, None)


def test_a_release_is_chosen_by_its_number_whatever_it_is() -> None:
    ledger = make_ledger([("a", "failed"), ("b", "healthy"), ("b", "healthy")], {1, 2})

    assert [rollback.choose_release(ledger, number).number for number in (1, 2, 3)] == [1, 2, 3]
    with pytest.raises(Problems, match="release 4 does not exist") as missing:
        rollback.choose_release(ledger, 4)
    assert "choose one of 1, 2, 3" in str(missing.value)
