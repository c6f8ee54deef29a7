"""Which mutants run, and when their survivors are too many."""

from __future__ import annotations

from typing import Any

import pytest
import yaml

from tests import mutants

NAMES = [f"orchestrator.{module}.x_f__mutmut_{number}" for module in ("planning.diff", "steps") for number in range(9)]
FIRST, SECOND = NAMES[0], NAMES[1]


def test_a_sample_is_the_same_for_a_seed_and_another_for_another() -> None:
    samples = [mutants.select(NAMES, [], 5, seed) for seed in (1, 1, 2)]

    assert samples[0] == samples[1] != samples[2]
    assert all(len(sample) == 5 and set(sample) <= set(NAMES) for sample in samples)
    assert mutants.select(NAMES, [], 99, 1) == NAMES


@pytest.mark.parametrize(("pattern", "count"), [("orchestrator.steps", 9), ("orchestrator.*", 18), ("steps", 0)])
def test_modules_are_chosen_by_pattern(pattern: str, count: int) -> None:
    assert len(mutants.select(NAMES, [pattern], None, 1)) == count


HALF = {"killed": {"orchestrator.planning": 50}}
CASES: dict[str, tuple[dict[str, int | None], dict[str, Any], int]] = {
    "all killed": ({FIRST: 1, SECOND: 3}, HALF, 0),
    "all survive": ({FIRST: 0, SECOND: 0}, HALF, 1),
    "as many as may": ({FIRST: 0, SECOND: 36}, HALF, 0),
    "one more than may": ({FIRST: 0, SECOND: 1, NAMES[2]: 0}, HALF, 1),
    "in another area": ({NAMES[-1]: 0}, HALF, 0),
    "an equivalent": ({FIRST: 0}, {**HALF, "equivalents": {FIRST: "a hint"}}, 0),
    "an equivalent that a test sees": ({FIRST: 1}, {"equivalents": {FIRST: "a hint"}}, 1),
    "an equivalent that did not run": ({SECOND: 1}, {"equivalents": {FIRST: "a hint"}}, 0),
    "no test calls it": ({FIRST: 33, SECOND: 5}, HALF, 0),
}


@pytest.mark.parametrize(("results", "ratchet", "count"), CASES.values(), ids=CASES)
def test_survivors_beyond_the_ratchet_are_listed(
    results: dict[str, int | None], ratchet: dict[str, Any], count: int
) -> None:
    excess = mutants.find_excess(results, {"killed": None, "equivalents": None, **ratchet})

    assert len(excess) == count
    assert all("x_f__mutmut_" in line for line in excess)


def test_the_summary_counts_only_what_a_test_calls() -> None:
    results = {f"m.{number}": code for number, code in enumerate([1, 3, 36, 0, 33, None])}

    assert mutants.summarise(results) == ("3 killed, 1 survived (75.0% killed); 1 in functions that no such test calls")


def test_every_equivalent_has_a_reason() -> None:
    ratchet = yaml.safe_load(mutants.RATCHET.read_text(encoding="utf-8"))

    assert set(ratchet) == {"killed", "equivalents"}
    assert all(0 < percent <= 100 for percent in ratchet["killed"].values())
    assert [name for name, reason in (ratchet["equivalents"] or {}).items() if len(str(reason)) < 10] == []
