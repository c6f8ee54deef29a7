"""`make bench`: measure, print the table, keep it in docs/benchmarks.md.  `ARGS="--quick --only plan"` for less."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from tests.benchmarks import push, sections
from tests.benchmarks.page import page
from tests.benchmarks.sections import QUICK, TOLD, Misfit, Rounds
from tests.benchmarks.site import section as site
from tests.benchmarks.state import section as state
from tests.benchmarks.table import Row, markdown
from tests.benchmarks.tools import ROOT
from tests.benchmarks.training import section as training

PAGE = ROOT / "docs" / "benchmarks.md"
PARTS = ("start", "push", "site", "state", "ml", "apply", "plan", "latency", "many")
STACK_TARGETS = (0.08, 0.25, 0.5)
MANY_TARGETS = (0.10, None, 0.5)


def arguments(given: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run of each; nothing is kept")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts; nothing is kept")
    return parser.parse_args(given)


def main(given: Sequence[str]) -> int:
    asked = arguments(given)
    parts = asked.only or PARTS
    rounds = QUICK if asked.quick else Rounds()
    try:
        rows, notes = measured(parts, rounds)
    except (Misfit, push.Failed, site.Failed, state.Failed, training.Failed) as misfit:
        TOLD(f"bench: {misfit}")
        return 1
    report = f"{markdown(rows)}\n{notes}"
    print(report)
    if parts == PARTS and not asked.quick:
        PAGE.parent.mkdir(exist_ok=True)
        PAGE.write_text(page(report))
        TOLD(f"kept in {PAGE.relative_to(ROOT)}")
    return 0


def measured(parts: Sequence[str], rounds: Rounds) -> tuple[list[Row], str]:
    """The rows of the parts that are asked for, and what they were measured on."""
    rows: list[Row] = []
    sizes: list[str] = []
    if "start" in parts:
        TOLD("start-up ...")
        rows += sections.start(rounds)
    if "push" in parts:
        rows += push.rows(rounds.apply, TOLD)
    if "site" in parts:
        rows += site.rows(rounds.apply, TOLD)
    if "state" in parts:
        rows += state.rows(rounds is QUICK, TOLD)
    if "ml" in parts:
        rows += training.rows(rounds is QUICK, TOLD)
    with tempfile.TemporaryDirectory() as folder, ExitStack() as within:
        if {"apply", "plan", "latency"} & set(parts):
            stack = sections.stacked(within, Path(folder) / "stack", many=False)
            applied = sections.apply(stack, rounds)
            rows += applied if "apply" in parts else []
            sizes.append(f"the stack: {stack.sizes()}")
            if "plan" in parts:
                TOLD("plan of the stack ...")
                rows += sections.plan(stack, rounds.plan, "no-op plan of the stack", STACK_TARGETS)
            if "latency" in parts:
                TOLD("plan of the stack, 50 ms a call ...")
                rows += sections.latency(stack, rounds.plan, "the stack")
    with tempfile.TemporaryDirectory() as folder, ExitStack() as within:
        if "many" in parts:
            TOLD("the many: apply (minutes) ...")
            stack = sections.stacked(within, Path(folder) / "many", many=True)
            sections.settle(stack)
            sizes.append(f"many: {stack.sizes()}")
            TOLD("the many: plan ...")
            rows += sections.plan(stack, rounds.many, "no-op plan of many", MANY_TARGETS)
            rows += sections.latency(stack, rounds.many, "many")
    return rows, f"Resources, as each counts them: {'; '.join(sizes)}.\n" if sizes else ""


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
