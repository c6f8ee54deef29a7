"""Measure how the processor time of a plan without changes grows with the number of resources."""

from __future__ import annotations

import tempfile
from collections.abc import Callable
from pathlib import Path

from tests.benchmarks import stack_copies
from tests.benchmarks.compared_tools import ROOT, Orchestrator, ToolError
from tests.benchmarks.emulator_process import run_emulator
from tests.benchmarks.process import Sample
from tests.benchmarks.table import Row, format_seconds

COPIES = (6, 25, 104)
"""About 150, 600 and 2,400 resources."""
MAX_GROWTH = 1.2
"""Time of each further resource, against that of each between the first two sizes: more than linear growth shows."""


def rows(rounds: int, on_progress: Callable[[str], None]) -> list[Row]:
    """Measure a plan of each size; the shortest of ``rounds`` runs counts, because other load only adds."""
    measured = [_measure(copies, rounds, on_progress) for copies in COPIES]
    (base_count, base_cpu), (middle_count, middle_cpu), _ = measured
    slope = (middle_cpu - base_cpu) / (middle_count - base_count)
    table_rows = []
    for index, (count, cpu) in enumerate(measured):
        previous_count, previous_cpu = measured[index - 1] if index else (count, cpu)
        further = (cpu - previous_cpu) / (count - previous_count) if index else None
        text = f"{format_seconds([cpu])} for {count} resources" + (f", {further * 1000:.2f} ms each" if further else "")
        ratio, target = (further / slope, MAX_GROWTH) if further and index > 1 else (None, None)
        table_rows.append(
            Row(
                f"no-op plan of {count} resources: CPU time, and of each further resource",
                text,
                f"{slope * 1000:.2f} ms each",
                ratio,
                target,
                str(rounds),
            )
        )
    return table_rows


def _measure(copies: int, rounds: int, on_progress: Callable[[str], None]) -> tuple[int, float]:
    """Return the number of resources and the seconds of CPU of a plan."""
    on_progress(f"{copies} copies of the stack: apply, then plan ...")
    with tempfile.TemporaryDirectory() as folder, run_emulator() as aws:
        manifests = Path(folder) / "manifests"
        stack_copies.write_copies(ROOT / "manifests", manifests, copies, min(copies, stack_copies.SERVICE_COUNT))
        tool = Orchestrator(manifests)
        _require_success(tool.apply(aws))
        cpu = min(_require_success(tool.plan(aws)).cpu for _ in range(rounds))
        return tool.count_resources(aws), cpu


def _require_success(sample: Sample) -> Sample:
    if sample.exit_code != 0:
        raise ToolError(f"exit code {sample.exit_code}:\n{sample.output[-3000:]}")
    return sample
