"""Kills a run at one mutating call, runs again, and looks.  A program of its own, because it forks.

``python -m tests.proofs.crash [--backend moto] SCENARIO[@I/N] ...`` prints one JSON line a case, with what is wrong
with it (nothing: it converged), and an empty line after each scenario; without scenarios it takes them from standard
input, one a line.  Scenarios: ``create``, ``destroy``, and the names in ``scenarios.UPDATES``; ``@I/N`` is every N-th
case, beginning with the I-th.

Every case is a fork of one prepared world, and begins with the one plan that was made of it: a plan changes nothing
(``test_plan_writes_nothing``), so each killed run would have made the same.  The run that heals makes its own.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any, TextIO

from orchestrator.emulator import Emulator
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore
from orchestrator.planning.plan import Planned
from orchestrator.steps import is_read
from orchestrator.vocabulary import Desired
from tests.proofs import inside, world
from tests.proofs.forks import in_fork, prepared
from tests.proofs.scenarios import CREATED, DESTROYED, SERVICE_ALONE, SMALL, UPDATES


class Crash(BaseException):
    """The end of the process, as far as the product can tell."""


class CrashingClients:
    """Real clients until the n-th call that changes something; none after it."""

    def __init__(self, at: int = 0, when: str = "before") -> None:
        self._clients = world.clients()
        self._at = at
        self._when = when
        self._guard = threading.Lock()
        self.writes = 0

    def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
        with self._guard:
            if self._at and self.writes >= self._at:
                raise Crash
            counts = not is_read(operation) and operation != "get_secret_value"
            self.writes += counts
            dying = counts and self.writes == self._at
        if dying and self._when == "before":
            raise Crash
        answer = self._clients.call(service, operation, parameters, region)
        if dying:
            raise Crash
        return answer


def carry_out(planned: Planned, through: CrashingClients) -> None:
    """One call after the other, so that their numbers mean the same in each run."""
    bad = world.failures(pipeline.apply(planned, ignore, parallelism=1, clients=through))  # type: ignore[arg-type]
    assert not bad, bad


@dataclass(frozen=True, slots=True)
class Scenario:
    """From one desired state to another; ``before`` None is an empty account."""

    before: Desired | None
    after: Desired
    destroying: bool = False

    def prepare(self) -> None:
        if self.before is not None:
            bad = world.failures(world.apply(self.before))
            assert not bad, bad

    def plan(self) -> Planned:
        return world.planned(self.after, destroying=self.destroying)

    def verdict(self) -> dict[str, Any]:
        """What the account looks like, to compare with an undisturbed run."""
        planned = self.plan()
        return {
            "pending": world.shown(planned.plan),
            "state": dict(world.state(planned)),
            "census": world.census(),
            "password": password_fits(self.after),
        }


def password_fits(desired: Desired) -> bool:
    """Whether the secret's connection string is complete: every generated part is in it, and no placeholder."""
    name = next((r.physical for r in desired.resources if r.type == "secretsmanager_secret"), None)
    secrets = world.clients().call("secretsmanager", "list_secrets", {})["SecretList"]
    if name not in [secret["Name"] for secret in secrets]:
        return True
    document = json.loads(
        world.clients().call("secretsmanager", "get_secret_value", {"SecretId": name})["SecretString"]
    )
    return f"Password={document['Database:main:Password']};" in document["ConnectionStrings:DefaultConnection"] + ";"


def scenario(name: str, folder: Path) -> Scenario:
    """A scenario by its name."""
    if name in CREATED:
        return Scenario(None, world.stack(folder / "new", *CREATED[name]))
    if name in DESTROYED:
        mortal = world.stack(folder / "mortal", *DESTROYED[name])
        return Scenario(mortal, mortal, destroying=True)
    small = SERVICE_ALONE if name in SMALL else ()
    return Scenario(world.stack(folder / "old", *small), world.stack(folder / "new", *small, *UPDATES[name]))


def every(total: int, shard: tuple[int, int]) -> Iterator[tuple[int, str]]:
    """Every call, before and after; every ``of``-th of them."""
    all_of_them = [(at, when) for at in range(1, total + 1) for when in ("before", "after")]
    index, of = shard
    yield from all_of_them[index::of]


def undisturbed(chosen: Scenario, planned: Planned) -> tuple[int, dict[str, Any]]:
    """How many mutating calls a run makes, and how it ends."""
    clients = CrashingClients()
    carry_out(planned, clients)
    return clients.writes, chosen.verdict()


def judge(chosen: Scenario, planned: Planned, at: int, when: str, expected: dict[str, Any]) -> list[str]:
    """What is wrong after a crash and one further run; nothing, if all is well."""
    try:
        carry_out(planned, CrashingClients(at, when))
    except Crash:
        pass
    else:
        return [f"there is no call {at}"]
    carry_out(chosen.plan(), CrashingClients())
    found = chosen.verdict()
    return [f"{key}: {_difference(expected[key], found[key])}" for key in expected if expected[key] != found[key]]


def _difference(expected: Any, found: Any) -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
        return "; ".join(f"{key}: {_difference(expected.get(key), found.get(key))}" for key in keys)
    before, after = str(expected), str(found)
    start = next((n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
    return f"...{before[max(0, start - 40) : start + 80]} became ...{after[max(0, start - 40) : start + 80]}"


def died(emulator: Emulator, chosen: Scenario, shard: tuple[int, int]) -> list[dict[str, Any]]:
    """Prepare once; every case is a fork."""
    chosen.prepare()
    planned = chosen.plan()
    prepared(emulator)
    total, expected = in_fork(emulator, lambda: undisturbed(chosen, planned))
    return [
        {"call": at, "when": when, "wrong": in_fork(emulator, partial(judge, chosen, planned, at, when, expected))}
        for at, when in every(total, shard)
    ]


def warm_up(emulator: Emulator, folder: Path) -> None:
    """Load what any run loads, once, before the forks."""
    for name in ("create", "destroy"):
        chosen = scenario(name, folder)
        chosen.prepare()
        undisturbed(chosen, chosen.plan())
        emulator.reset()
    prepared(emulator)


def tell(emulator: Emulator, asked: Iterator[str], to: TextIO, folder: Path) -> None:
    """The cases of each scenario that is asked for."""
    warm_up(emulator, folder)
    for line in asked:
        name, _, shard = line.strip().partition("@")
        index, of = map(int, (shard or "0/1").split("/"))
        found = in_fork(emulator, partial(died, emulator, scenario(name, folder), (index, of)))
        cases = [case if isinstance(case, dict) else {"wrong": case} for case in found]  # a sentence: no case was tried
        to.writelines(json.dumps(case) + "\n" for case in cases)
        to.write("\n")
        to.flush()


def main() -> None:
    """One line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario", nargs="*")
    parser.add_argument("--backend", default="moto", choices=world.BACKENDS)
    options = parser.parse_args()
    emulated = world.aws() if options.backend == "moto" else inside.ministack()
    with emulated as emulator, tempfile.TemporaryDirectory() as folder:
        tell(emulator, iter(options.scenario or sys.stdin), sys.stdout, Path(folder))


if __name__ == "__main__":
    main()
