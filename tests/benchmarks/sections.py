"""What is measured, one function a section; each gives rows for the table and tells what it does meanwhile."""

from __future__ import annotations

import sys
from collections.abc import Callable
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from tests.benchmarks import chain, copies
from tests.benchmarks.emulated import Emulated, emulator
from tests.benchmarks.process import Sample, measure
from tests.benchmarks.table import Row, megabytes, ratio, seconds
from tests.benchmarks.tools import NEUTRAL, ORCHESTRATOR, ROOT, Orchestrator, Terraform, Unfit, run, terraform

LATENCY_MS = 50.0
MANIFESTS = ROOT / "manifests"
TOLD: Callable[[str], None] = lambda text: print(text, file=sys.stderr, flush=True)  # noqa: E731


class Misfit(Exception):  # noqa: N818 - a sentence that ends the run
    """A run whose numbers would mean nothing: a command failed, or a plan that should be empty is not."""


@dataclass(frozen=True, slots=True)
class Rounds:
    """How often: of quick things, of a plan, of terraform's plan of many."""

    start: int = 5
    plan: int = 5
    many: int = 2
    apply: int = 3


QUICK = Rounds(1, 1, 1, 1)


@dataclass(frozen=True, slots=True)
class Stack:
    """Both tools with the same stack, each applied into its own AWS; ``missing`` says why there is no peer."""

    ours: Orchestrator
    aws: Emulated
    peer: Terraform | None
    peer_aws: Emulated
    missing: str = ""

    def sizes(self) -> str:
        theirs = f", terraform {self.peer.resources(self.peer_aws)}" if self.peer else ""
        return f"orchestrator {self.ours.resources(self.aws)}{theirs}"


def start(rounds: Rounds) -> list[Row]:
    """`validate` and `--help` against importing two of the libraries that validating needs."""
    commands = {
        "imports": [sys.executable, "-c", "import yaml, jsonschema"],
        "validate": [str(ORCHESTRATOR), "validate", "-f", str(MANIFESTS)],
        "--help": [str(ORCHESTRATOR), "--help"],
    }
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(rounds.start + 1):
        for name, command in commands.items():
            sample = _sound(measure(command, cwd=ROOT, environment=NEUTRAL), 0, name)
            if number:  # the first round compiles and fills the page cache
                samples[name].append(sample)
    base = [sample.wall for sample in samples.pop("imports")]
    return [
        Row(
            f'`{name}`: wall, against `python -c "import yaml, jsonschema"`',
            f"{seconds(sample.wall for sample in found)}, {megabytes(sample.peak for sample in found)}",
            seconds(base),
            ratio([sample.wall for sample in found], base),
            2,
            str(rounds.start),
        )
        for name, found in samples.items()
    ]


def stacked(within: ExitStack, folder: Path, *, many: bool) -> Stack:
    """Both tools and an empty AWS for each."""
    manifests = MANIFESTS
    variables: tuple[str, ...] = ()
    if many:
        manifests = folder / "manifests"
        copies.write(MANIFESTS, manifests)
        variables = (f"-var=n={copies.COPIES}", f"-var=services={copies.SERVICES}")
    aws, peer_aws = within.enter_context(emulator()), within.enter_context(emulator())
    try:
        return Stack(Orchestrator(manifests), aws, terraform(folder / "terraform", variables), peer_aws)
    except Unfit as unfit:
        return Stack(Orchestrator(manifests), aws, None, peer_aws, str(unfit))


def apply(stack: Stack, rounds: Rounds) -> list[Row]:
    """The whole stack into an empty AWS.  Terraform's takes minutes, most of them fixed waits: once."""
    mine: list[float] = []
    for _ in range(rounds.apply):
        stack.aws.reset()
        mine.append(_sound(stack.ours.apply(stack.aws), 0, "orchestrator apply").wall)
    if stack.peer is None:
        return [Row("apply of the stack: wall", seconds(mine), stack.missing, None, 0.1, str(rounds.apply))]
    TOLD("terraform apply (about two minutes) ...")
    theirs = [_sound(stack.peer.apply(stack.peer_aws), 0, "terraform apply").wall]
    runs = f"{rounds.apply} / 1"
    return [Row("apply of the stack: wall", seconds(mine), seconds(theirs), ratio(mine, theirs), 0.1, runs)]


def settle(stack: Stack) -> None:
    """Make the many, unmeasured: terraform with more hands than it has by default, or it would take half an hour."""
    _sound(stack.ours.apply(stack.aws), 0, "orchestrator apply")
    if stack.peer:
        _sound(stack.peer.apply(stack.peer_aws, "-parallelism=100"), 0, "terraform apply")


def plan(stack: Stack, rounds: int, what: str, targets: tuple[float, float | None, float]) -> list[Row]:
    """A plan with nothing to do: wall, processor, memory, calls.  ``targets`` of wall, memory and calls."""
    mine: list[Sample] = []
    theirs: list[Sample] = []
    for _ in range(rounds):
        mine.append(_sound(stack.ours.plan(stack.aws), 0, "orchestrator plan"))
        if stack.peer:
            theirs.append(_sound(stack.peer.plan(stack.peer_aws), 0, "terraform plan"))
    wall, memory, calls = targets
    aspects: list[tuple[str, Callable[[Sample], float], Callable[[list[float]], str], float | None]] = [
        ("wall", lambda sample: sample.wall, seconds, wall),
        ("processor time", lambda sample: sample.cpu, seconds, None),
        ("peak memory", lambda sample: sample.peak, lambda values: megabytes(map(int, values)), memory),
        ("API calls", lambda sample: sample.calls, lambda values: f"{median(values):.0f}", calls),
    ]
    return [
        Row(
            f"{what}: {name}",
            text([of(sample) for sample in mine]),
            text([of(sample) for sample in theirs]) if theirs else stack.missing,
            ratio([of(sample) for sample in mine], [of(sample) for sample in theirs]) if theirs else None,
            target,
            str(rounds),
        )
        for name, of, text, target in aspects
    ]


def latency(stack: Stack, rounds: int, what: str) -> list[Row]:
    """The same plan when every call takes 50 ms, against the longest chain of reads that wait for each other."""
    where, length = _chain(stack)
    stack.aws.hold_back(LATENCY_MS)
    stack.peer_aws.hold_back(LATENCY_MS)
    mine: list[Sample] = []
    theirs: list[Sample] = []
    depths: list[int] = []
    for _ in range(rounds):
        mine.append(_sound(stack.ours.plan(stack.aws), 0, "orchestrator plan"))
        depths.append(chain.depth(stack.aws.calls()))
        if stack.peer:
            theirs.append(_sound(stack.peer.plan(stack.peer_aws), 0, "terraform plan"))
    stack.aws.hold_back(0)
    stack.peer_aws.hold_back(0)
    walls = [sample.wall for sample in mine]
    bound = length * LATENCY_MS / 1000
    least = f"{length} calls = {seconds([bound])} ({where})"
    deep = f"{what}, 50 ms a call: most calls that do not overlap"
    rows = [
        Row(f"{what}, 50 ms a call: wall, against the longest chain", seconds(walls), least, median(walls) / bound, 3,
            str(rounds)),
        Row(deep, f"{median(depths):.0f}", f"{length}", median(depths) / length, None, str(rounds)),
    ]  # fmt: skip
    if theirs:
        other = [sample.wall for sample in theirs]
        rows.append(
            Row(f"{what}, 50 ms a call: wall", seconds(walls), seconds(other), ratio(walls, other), None, str(rounds))
        )
    return rows


def _chain(stack: Stack) -> tuple[str, int]:
    command = [sys.executable, "-m", "tests.benchmarks.chain", str(stack.ours.manifests)]
    sample = _sound(run(stack.aws, command, ROOT), 0, "the longest chain")
    where, length = sample.output.split()[-2:]
    return where, int(length)


def _sound(sample: Sample, expected: int, what: str) -> Sample:
    if sample.exit_code == expected:
        return sample
    raise Misfit(f"{what} ended with {sample.exit_code}, not {expected}:\n{sample.output[-3000:]}")
