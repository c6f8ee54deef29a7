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

from tests.benchmarks import report_parts, sections
from tests.benchmarks.compared_tools import ROOT, ToolError
from tests.benchmarks.report_page import describe_measurement, render_page
from tests.benchmarks.sections import QUICK, MeasurementError, Rounds, print_progress
from tests.benchmarks.table import Row, render_markdown

PAGE = ROOT / "docs" / "benchmarks.md"
README = ROOT / "README.md"
PARTS = tuple(report_parts.PART_TITLES)
STACK_TARGETS = (0.08, 0.25, 0.5)
MANY_TARGETS = (0.10, None, 0.5)
Results = dict[str, tuple[list[Row], str]]
"""By part: its rows, and a note."""


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="one run of each; nothing is kept")
    parser.add_argument("--only", choices=PARTS, action="append", help="these parts; the others are kept")
    return parser.parse_args(argv)


def main(argv: Sequence[str]) -> int:
    args = parse_arguments(argv)
    parts = args.only or PARTS
    rounds = QUICK if args.quick else Rounds()
    try:
        results = measure_parts(parts, rounds)
    except (MeasurementError, ToolError) as error:
        print_progress(f"bench: {error}")
        return 1
    print(render_markdown([row for rows, _ in results.values() for row in rows]))
    if not args.quick:
        save_results(results)
    return 0


def save_results(results: Results) -> None:
    """Write what was measured over what stood there of the same parts."""
    new_parts = {
        name: report_parts.render_part(name, rows, note, describe_measurement())
        for name, (rows, note) in results.items()
    }
    parts = {**(report_parts.read_parts(PAGE.read_text()) if PAGE.exists() else {}), **new_parts}
    PAGE.write_text(render_page(report_parts.join_parts(parts)))
    README.write_text(report_parts.insert_table(README.read_text(), parts))
    print_progress(f"kept in {PAGE.relative_to(ROOT)} and {README.relative_to(ROOT)}")


def measure_parts(parts: Sequence[str], rounds: Rounds) -> Results:
    """The rows of each part that is asked for, and on how many resources they were measured.

    First what tells of memory: this process holds little then (see ``process``), and more with every other part.
    """
    results = _measure_alone(
        parts,
        {"start": lambda: sections.measure_start(rounds), "site": lambda: _load_rows("site.section", rounds.apply)},
    )
    if {"apply", "plan", "latency"} & set(parts):
        results |= _measure_stack(parts, rounds)
    if "many" in parts:
        results["many"] = _measure_many(rounds)
    slow_parts: dict[str, Callable[[], list[Row]]] = {
        "push": lambda: _load_rows("push", rounds.apply),
        "state": lambda: _load_rows("state.section", rounds is QUICK),
        "ml": lambda: _load_rows("training.section", rounds is QUICK),
    }
    return results | _measure_alone(parts, slow_parts)


def _measure_alone(parts: Sequence[str], measures: Mapping[str, Callable[[], list[Row]]]) -> Results:
    results: Results = {}
    for name, measure in measures.items():
        if name in parts:
            print_progress(f"{report_parts.PART_TITLES[name]} ...")
            results[name] = (measure(), "")
    return results


def _load_rows(module: str, rounds: int | bool) -> list[Row]:
    """The rows of a part whose module is imported when its turn comes."""
    table_rows: list[Row] = importlib.import_module(f"tests.benchmarks.{module}").rows(rounds, print_progress)
    return table_rows


def _measure_stack(parts: Sequence[str], rounds: Rounds) -> Results:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as exit_stack:
        stack = sections.prepare_stack(exit_stack, Path(folder) / "stack", many=False)
        results = {"apply": (sections.measure_apply(stack, rounds), "")}
        note = f"Resources, as each counts them: {stack.describe_sizes()}."
        if "plan" in parts:
            print_progress("plan of the stack ...")
            results["plan"] = (
                sections.measure_plan(stack, rounds.plan, "no-op plan of the stack", STACK_TARGETS),
                note,
            )
        if "latency" in parts:
            print_progress("plan of the stack, 50 ms a call ...")
            results["latency"] = (sections.measure_latency(stack, rounds.plan, "the stack"), note)
    return {name: rows for name, rows in results.items() if name in parts}


def _measure_many(rounds: Rounds) -> tuple[list[Row], str]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as exit_stack:
        print_progress("the many: apply (minutes) ...")
        stack = sections.prepare_stack(exit_stack, Path(folder) / "many", many=True)
        sections.apply_unmeasured(stack)
        print_progress("the many: plan ...")
        rows = sections.measure_plan(stack, rounds.many, "no-op plan of many", MANY_TARGETS)
        rows += sections.measure_latency(stack, rounds.many, "many")
        return rows, f"Resources, as each counts them: {stack.describe_sizes()}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
