"""Run the benchmarks (`make bench`), print the table, and update the pages that show it.

`ARGS="--only plan"` measures one part and keeps the results of the others; `--quick` writes no files.  The part
"recognition" needs photos of a shop and of its customers: `--photos FOLDER` (see `training/accuracy.py`).
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
COMPARISON = ROOT / "docs" / "explanation" / "comparison.md"
PARTS = tuple(report_parts.PART_TITLES)
STACK_TARGETS = (0.08, 0.25, 0.5)
MANY_TARGETS = (0.10, None, 0.5)
Results = dict[str, tuple[list[Row], str]]
"""Rows and a note by part."""


def parse_arguments(argv: Sequence[str]) -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("--quick", action="store_true", help="measure each part once; write no files")
    parser.add_argument(
        "--only",
        choices=PARTS,
        action="append",
        help="measure only this part (repeatable); keep the results of the others",
    )
    parser.add_argument("--photos", type=Path, help="photos for the part recognition, which is left out without")
    args = parser.parse_args(argv)
    if args.photos is None and "recognition" in (args.only or ()):
        parser.error("--only recognition needs --photos FOLDER, with shop/PRODUCT/ and phone/PRODUCT/")
    return args


def main(argv: Sequence[str]) -> int:
    args = parse_arguments(argv)
    parts = args.only or [name for name in PARTS if name != "recognition" or args.photos]
    rounds = QUICK if args.quick else Rounds()
    try:
        results = measure_parts(parts, rounds, args.photos)
    except (MeasurementError, ToolError) as error:
        print_progress(f"bench: {error}")
        return 1
    print(render_markdown([row for rows, _ in results.values() for row in rows]))
    if not args.quick:
        save_results(results)
    return 0


def save_results(results: Results) -> None:
    """Replace the measured parts on both pages."""
    new_parts = {
        name: report_parts.render_part(name, rows, note, describe_measurement())
        for name, (rows, note) in results.items()
    }
    parts = {**(report_parts.read_parts(PAGE.read_text()) if PAGE.exists() else {}), **new_parts}
    PAGE.write_text(render_page(report_parts.join_parts(parts)))
    COMPARISON.write_text(report_parts.insert_table(COMPARISON.read_text(), parts))
    print_progress(f"Updated {PAGE.relative_to(ROOT)} and {COMPARISON.relative_to(ROOT)}")


def measure_parts(parts: Sequence[str], rounds: Rounds, photos: Path | None = None) -> Results:
    """Measure each requested part; return its rows and a note on the number of resources.

    Parts that measure memory come first, while this process is still small (see ``process``).
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
        "growth": lambda: _load_rows("growth", rounds.many),
        "push": lambda: _load_rows("push", rounds.apply),
        "database": lambda: _load_rows("database", rounds.apply),
        "state": lambda: _load_rows("state.section", rounds is QUICK),
        "ml": lambda: _load_rows("training.section", rounds is QUICK),
        "recognition": lambda: _measure_recognition(photos, quick=rounds is QUICK),
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
    """Import the module of a part only when it is measured, and return its rows."""
    table_rows: list[Row] = importlib.import_module(f"tests.benchmarks.{module}").rows(rounds, print_progress)
    return table_rows


def _measure_recognition(photos: Path | None, *, quick: bool) -> list[Row]:
    """Import TensorFlow only here."""
    if photos is None:
        raise MeasurementError("recognition needs --photos FOLDER")
    accuracy = importlib.import_module("tests.benchmarks.training.accuracy")
    table_rows: list[Row] = accuracy.rows(photos, quick=quick, on_progress=print_progress)
    return table_rows


def _measure_stack(parts: Sequence[str], rounds: Rounds) -> Results:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as exit_stack:
        stack = sections.prepare_stack(exit_stack, Path(folder) / "stack", many=False)
        results = {"apply": (sections.measure_apply(stack, rounds), "")}
        note = f"Resources, by each tool's count: {stack.describe_sizes()}."
        if "plan" in parts:
            print_progress("plan of the stack ...")
            results["plan"] = (
                sections.measure_plan(stack, rounds.plan, "no-op plan of the stack", STACK_TARGETS),
                note,
            )
        if "latency" in parts:
            print_progress("plan of the stack, 50 ms per call ...")
            results["latency"] = (sections.measure_latency(stack, rounds.plan, "plan of the stack"), note)
    return {name: rows for name, rows in results.items() if name in parts}


def _measure_many(rounds: Rounds) -> tuple[list[Row], str]:
    with tempfile.TemporaryDirectory() as folder, ExitStack() as exit_stack:
        print_progress("large stack: apply (takes minutes) ...")
        stack = sections.prepare_stack(exit_stack, Path(folder) / "many", many=True)
        sections.apply_unmeasured(stack)
        print_progress("large stack: plan ...")
        rows = sections.measure_plan(stack, rounds.many, "no-op plan of the large stack", MANY_TARGETS)
        rows += sections.measure_latency(stack, rounds.many, "plan of the large stack")
        return rows, f"Resources, by each tool's count: {stack.describe_sizes()}."


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
