"""Killed between any two mutating calls, the next run ends in the same live state: no orphan, nothing by hand."""

from __future__ import annotations

import json
import subprocess
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from tests.proofs import real_stack
from tests.proofs.crash_commands import COMMANDS
from tests.proofs.scenarios import POWER_SCENARIOS, RESTORE_SCENARIOS, UPDATES

pytestmark = [pytest.mark.both_backends, pytest.mark.slow, pytest.mark.timeout(900)]


SAMPLED = 12
"""One moment of this many is tried, unless all proofs run."""


IMPOSSIBLE = {("restore secret", "ministack")}
"""MiniStack deletes a version of a secret without a label at once; AWS keeps about a hundred."""
SAMPLED_COMMANDS = ("migrate files", "rotate secret", "upgrade database")
"""The commands that are killed each time; all of them with all proofs."""


def list_runs(backend: str) -> list[tuple[str, str]]:
    """The scenarios with their shares of the points to be killed at."""
    others = (*UPDATES, "create express", "destroy express", *RESTORE_SCENARIOS, *POWER_SCENARIOS)
    if not real_stack.is_exhaustive():
        some = ("create", "destroy", "service runtime", *RESTORE_SCENARIOS)
        more = ("create", "destroy", *others, *SAMPLED_COMMANDS)
        return [(name, f"0/{SAMPLED}") for name in (some if backend == "ministack" else more)]
    others = (*others, *(name for name in COMMANDS if (name, backend) not in IMPOSSIBLE))
    shards = [f"{index}/4" for index in range(4)]
    return [*((name, shard) for name in ("create", "destroy") for shard in shards), *((name, "0/1") for name in others)]


CASES = [
    pytest.param(*run, backend, marks=pytest.mark.xdist_group(f"crash-{backend}"), id=f"{' '.join(run)}-{backend}")
    for backend in ("moto", "ministack")
    for run in list_runs(backend)
]
"""All of a backend's are one worker's: the program that forks takes seconds to be ready."""


class Crasher:
    """The program that forks, with one emulated AWS: what it takes to begin is done once for all its scenarios."""

    def __init__(self, backend: str, trouble: Path) -> None:
        self._trouble = trouble
        with trouble.open("w") as to:
            command = [sys.executable, "-m", "tests.proofs.crash_runner", "--backend", backend]
            self._process = subprocess.Popen(
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=to, text=True
            )

    def cases(self, scenario: str, shard: str) -> list[dict[str, Any]]:
        """What became of each case; an end of the program is an AssertionError with its last words."""
        assert self._process.stdin
        assert self._process.stdout
        self._process.stdin.write(f"{scenario}@{shard}\n")
        self._process.stdin.flush()
        lines = []
        while (line := self._process.stdout.readline()) != "\n":
            assert line, self._trouble.read_text()[-3000:]
            lines.append(json.loads(line))
        return lines

    def end(self) -> None:
        self._process.communicate(timeout=60)


@pytest.fixture(scope="session")
def crasher(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Callable[[str], Crasher]]:
    """One a backend, started when first asked for."""
    started: dict[str, Crasher] = {}

    def of(backend: str) -> Crasher:
        if backend not in started:
            started[backend] = Crasher(backend, tmp_path_factory.mktemp("crash") / "trouble.txt")
        return started[backend]

    yield of
    for each in started.values():
        each.end()


@pytest.mark.parametrize(("scenario", "shard", "backend"), CASES)
def test_a_killed_run_is_healed_by_the_next(
    scenario: str,
    shard: str,
    backend: str,
    crasher: Callable[[str], Crasher],
    record_property: Callable[[str, object], None],
) -> None:
    """Nothing is left, nothing is lost, and nobody has to do anything by hand."""
    cases = crasher(backend).cases(scenario, shard)

    assert cases
    writes = max(case.get("call", 0) for case in cases)
    for name, value in {"scenario": scenario, "backend": backend, "crashes": len(cases), "writes": writes}.items():
        record_property(name, value)
    assert [case for case in cases if case["wrong"]] == []
