"""`make bench`: measure, print the table, keep it in docs/benchmarks.md and the README.

`ARGS="--only plan"` measures a part and keeps the others as they are; with `--quick` nothing is kept.
"""

from __future__ import annotations

import argparse
import importlib
import sys
import tempfile
from collections.abc import Callable, Mapping, Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import kept, sections
from tests.benchmarks.page import page, today
from tests.benchmarks.sections import QUICK, TOLD, Misfit, Rounds
from tests.benchmarks.table import Row, markdown
from tests.benchmarks.tools import ROOT, Failed

PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
PARTS = tuple(kept.TITLES)
STACK_TARGETS = (0.08, 0.25, 0.5)
MANY_TARGETS = (0.10, None, 0.5)
Measured = dict[str, tuple[list[Row], str]]
"""By part: its rows, and a note."""


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run of each; nothing is kept")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts; the others are kept")
    return parser.parse_args(given)


def main(given: Sequence[str]) -> int:
    asked = arguments(given)
    parts = asked.only or PARTS
    rounds = QUICK if asked.quick else Rounds()
    try:
        found = measured(parts, rounds)
    except (Misfit, Failed) as misfit:
        TOLD(f"bench: {misfit}")
        return 1
    print(markdown([row for rows, _ in found.values() for row in rows]))
    if not asked.quick:
        keep(found)
    return 0


def keep(found: Measured) -> None:
    """Write what was measured over what stood there of the same parts."""
    fresh = {name: kept.part(name, rows, note, today()) for name, (rows, note) in found.items()}
    parts = {**(kept.read(PAGE.read_text()) if PAGE.exists() else {}), **fresh}
    PAGE.write_text(page(kept.together(parts)))
    README.write_text(kept.insert(README.read_text(), parts))
    TOLD(f"kept in {PAGE.relative_to(ROOT)} and {README.relative_to(ROOT)}")


def measured(parts: Sequence[str], rounds: Rounds) -> Measured:
    """The rows of each part that is asked for, and on how many resources they were measured.

    First what tells of memory: this process holds little then (see ``process``), and more with every other part.
    """
    found = _alone(
        parts, {"start": lambda: sections.start(rounds), "site": lambda: _rows("site.section", rounds.apply)}
    )
    if {"apply", "plan", "latency"} & set(parts):
        found |= _stack(parts, rounds)
    if "many" in parts:
        found["many"] = _many(rounds)
    heavy: dict[str, Callable[[], list[Row]]] = {
        "push": lambda: _rows("push", rounds.apply),
        "state": lambda: _rows("state.section", rounds is QUICK),
        "ml": lambda: _rows("training.section", rounds is QUICK),
    }
    return found | _alone(parts, heavy)


def _alone(parts: Sequence[str], measures: Mapping[str, Callable[[], list[Row]]]) -> Measured:
    found: Measured = {}
    for name, measure in measures.items():
        if name in parts:
            TOLD(f"{kept.TITLES[name]} ...")
            found[name] = (measure(), "")
    return found


def _rows(module: str, rounds: int | bool) -> list[Row]:
    """The rows of a part whose module is imported when its turn comes."""
    found: list[Row] = importlib.import_module(f"tests.benchmarks.{module}").rows(rounds, TOLD)
    return found


def _stack(parts: Sequence[str], rounds: Rounds) -> Measured:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as within:
        stack = sections.stacked(within, Path(folder) / "stack", many=False)
        found = {"apply": (sections.apply(stack, rounds), "")}
        note = f"Resources, as each counts them: {stack.sizes()}."
        if "plan" in parts:
            TOLD("plan of the stack ...")
            found["plan"] = (sections.plan(stack, rounds.plan, "no-op plan of the stack", STACK_TARGETS), note)
        if "latency" in parts:
            TOLD("plan of the stack, 50 ms a call ...")
            found["latency"] = (sections.latency(stack, rounds.plan, "the stack"), note)
    return {name: rows for name, rows in found.items() if name in parts}


def _many(rounds: Rounds) -> tuple[list[Row], str]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as within:
        TOLD("the many: apply (minutes) ...")
        stack = sections.stacked(within, Path(folder) / "many", many=True)
        sections.settle(stack)
        TOLD("the many: plan ...")
        rows = sections.plan(stack, rounds.many, "no-op plan of many", MANY_TARGETS)
        rows += sections.latency(stack, rounds.many, "many")
        return rows, f"Resources, as each counts them: {stack.sizes()}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
