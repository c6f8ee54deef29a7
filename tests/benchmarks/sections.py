"""Measure start-up, apply and plan: one function per section, which returns rows for the table."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks import read_chain, stack_copies
from tests.benchmarks.compared_tools import (
    NEUTRAL_ENVIRONMENT,
    ORCHESTRATOR_PATH,
    ROOT,
    Orchestrator,
    Terraform,
    ToolUnavailableError,
    prepare_terraform,
    run_measured,
)
from tests.benchmarks.emulator_process import EmulatorProcess, run_emulator
from tests.benchmarks.process import Sample, measure
from tests.benchmarks.table import Row, format_megabytes, format_seconds, median_ratio

LATENCY_MS = 50.0
MANIFESTS = ROOT / "manifests"
print_progress: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731


class MeasurementError(Exception):
    """A command failed, or a plan has unexpected changes, so its numbers are meaningless."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """The number of runs per section."""

    start: int = 5
    plan: int = 5
    many: int = 2
    apply: int = 3


QUICK = Rounds(1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class BenchmarkStack:
    """Both tools with the same stack, each with its own emulator; ``missing_reason``: why there is no peer."""

    ours: Orchestrator
    aws: EmulatorProcess
    peer: Terraform | None
    peer_aws: EmulatorProcess
    missing_reason: str = ""

    def describe_sizes(self) -> str:
        peer_text = f", terraform {self.peer.count_resources(self.peer_aws)}" if self.peer else ""
        return f"orchestrator {self.ours.count_resources(self.aws)}{peer_text}"


def measure_start(rounds: Rounds) -> list[Row]:
    """Measure `validate` and `--help` against importing two libraries that validation needs."""
    commands = {
        "imports": [sys.executable, "-c", "import yaml, jsonschema"],
        "validate": [str(ORCHESTRATOR_PATH), "validate", "-f", str(MANIFESTS)],
        "--help": [str(ORCHESTRATOR_PATH), "--help"],
    }
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(rounds.start + 1):
        for name, command in commands.items():
            sample = _require_exit_code(measure(command, cwd=ROOT, environment=NEUTRAL_ENVIRONMENT), 0, name)
            if number:  # the first round warms up bytecode and page cache
                samples[name].append(sample)
    baseline = [sample.wall for sample in samples.pop("imports")]
    return [
        Row(
            f'`{name}`: wall time vs `python -c "import yaml, jsonschema"`',
            (
                f"{format_seconds(sample.wall for sample in command_samples)}, "
                f"{format_megabytes(sample.peak for sample in command_samples)}"
            ),
            format_seconds(baseline),
            median_ratio([sample.wall for sample in command_samples], baseline),
            2,
            str(rounds.start),
        )
        for name, command_samples in samples.items()
    ]


def prepare_stack(exit_stack: ExitStack, folder: Path, *, many: bool) -> BenchmarkStack:
    """Prepare both tools, each with an empty emulator."""
    manifests = MANIFESTS
    variables: tuple[str, ...] = ()
    if many:
        manifests = folder / "manifests"
        stack_copies.write_copies(MANIFESTS, manifests)
        variables = (f"-var=n={stack_copies.COPY_COUNT}", f"-var=services={stack_copies.SERVICE_COUNT}")
    aws, peer_aws = exit_stack.enter_context(run_emulator()), exit_stack.enter_context(run_emulator())
    try:
        return BenchmarkStack(
            Orchestrator(manifests), aws, prepare_terraform(folder / "terraform", variables), peer_aws
        )
    except ToolUnavailableError as error:
        return BenchmarkStack(Orchestrator(manifests), aws, None, peer_aws, str(error))


def measure_apply(stack: BenchmarkStack, rounds: Rounds) -> list[Row]:
    """Measure an apply of the whole stack to an empty account; Terraform takes minutes, so it runs once."""
    our_walls: list[float] = []
    for _ in range(rounds.apply):
        stack.aws.reset()
        our_walls.append(_require_exit_code(stack.ours.apply(stack.aws), 0, "orchestrator apply").wall)
    if stack.peer is None:
        return [
            Row(
                "apply of the stack: wall time",
                format_seconds(our_walls),
                stack.missing_reason,
                None,
                0.1,
                str(rounds.apply),
            )
        ]
    print_progress("terraform apply (about two minutes) ...")
    peer_walls = [_require_exit_code(stack.peer.apply(stack.peer_aws), 0, "terraform apply").wall]
    runs = f"{rounds.apply} / 1"
    return [
        Row(
            "apply of the stack: wall time",
            format_seconds(our_walls),
            format_seconds(peer_walls),
            median_ratio(our_walls, peer_walls),
            0.1,
            runs,
        )
    ]


def apply_unmeasured(stack: BenchmarkStack) -> None:
    """Apply the large stack without measuring; Terraform gets more parallelism, or it would take half an hour."""
    _require_exit_code(stack.ours.apply(stack.aws), 0, "orchestrator apply")
    if stack.peer:
        _require_exit_code(stack.peer.apply(stack.peer_aws, "-parallelism=100"), 0, "terraform apply")


def measure_plan(
    stack: BenchmarkStack, rounds: int, title: str, targets: tuple[float, float | None, float]
) -> list[Row]:
    """Measure a plan without changes; ``targets`` are for wall time, memory and calls."""
    our_samples: list[Sample] = []
    peer_samples: list[Sample] = []
    for _ in range(rounds):
        our_samples.append(_require_exit_code(stack.ours.plan(stack.aws), 0, "orchestrator plan"))
        if stack.peer:
            peer_samples.append(_require_exit_code(stack.peer.plan(stack.peer_aws), 0, "terraform plan"))
    wall, memory, calls = targets
    aspects: list[tuple[str, Callable[[Sample], float], Callable[[list[float]], str], float | None]] = [
        ("wall time", lambda sample: sample.wall, format_seconds, wall),
        ("CPU time", lambda sample: sample.cpu, format_seconds, None),
        ("peak memory", lambda sample: sample.peak, lambda values: format_megabytes(map(int, values)), memory),
        ("API calls", lambda sample: sample.calls, lambda values: f"{median(values):.0f}", calls),
    ]
    return [
        Row(
            f"{title}: {name}",
            text([value_of(sample) for sample in our_samples]),
            text([value_of(sample) for sample in peer_samples]) if peer_samples else stack.missing_reason,
            median_ratio([value_of(sample) for sample in our_samples], [value_of(sample) for sample in peer_samples])
            if peer_samples
            else None,
            target,
            str(rounds),
        )
        for name, value_of, text, target in aspects
    ]


def measure_latency(stack: BenchmarkStack, rounds: int, title: str) -> list[Row]:
    """Measure a plan without changes at 50 ms per call, against the longest chain of sequential reads."""
    address, length = _find_longest_chain(stack)
    stack.aws.set_latency(LATENCY_MS)
    stack.peer_aws.set_latency(LATENCY_MS)
    our_samples: list[Sample] = []
    peer_samples: list[Sample] = []
    depths: list[int] = []
    for _ in range(rounds):
        our_samples.append(_require_exit_code(stack.ours.plan(stack.aws), 0, "orchestrator plan"))
        depths.append(read_chain.count_sequential_calls(stack.aws.calls()))
        if stack.peer:
            peer_samples.append(_require_exit_code(stack.peer.plan(stack.peer_aws), 0, "terraform plan"))
    stack.aws.set_latency(0)
    stack.peer_aws.set_latency(0)
    walls = [sample.wall for sample in our_samples]
    bound = length * LATENCY_MS / 1000
    bound_text = f"{length} calls = {format_seconds([bound])} ({address})"
    depth_title = f"{title}, 50 ms per call: sequential calls vs longest read chain"
    rows = [
        Row(
            f"{title}, 50 ms per call: wall time vs longest read chain",
            format_seconds(walls),
            bound_text,
            median(walls) / bound,
            3,
            str(rounds),
        ),
        Row(depth_title, f"{median(depths):.0f}", f"{length}", median(depths) / length, None, str(rounds)),
    ]
    if peer_samples:
        peer_walls = [sample.wall for sample in peer_samples]
        rows.append(
            Row(
                f"{title}, 50 ms per call: wall time",
                format_seconds(walls),
                format_seconds(peer_walls),
                median_ratio(walls, peer_walls),
                None,
                str(rounds),
            )
        )
    return rows


def _find_longest_chain(stack: BenchmarkStack) -> tuple[str, int]:
    command = [sys.executable, "-m", "tests.benchmarks.read_chain", str(stack.ours.manifests)]
    sample = _require_exit_code(run_measured(stack.aws, command, ROOT), 0, "read_chain")
    address, length = sample.output.split()[-2:]
    return address, int(length)


def _require_exit_code(sample: Sample, expected: int, command_name: str) -> Sample:
    if sample.exit_code == expected:
        return sample
    raise MeasurementError(
        f"{command_name} exited with {sample.exit_code}, expected {expected}:\n{sample.output[-3000:]}"
    )
