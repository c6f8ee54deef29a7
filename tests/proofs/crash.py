"""Kills a run at one mutating call, runs again, and looks.  A program of its own, because it forks.

``python -m tests.proofs.crash SCENARIO [--backend moto] [--shard 0/1]`` prints one JSON line a case, with what is
wrong with it (nothing: it converged).  Scenarios: ``create``, ``destroy``, and the names in ``scenarios.UPDATES``.

With moto every case is a fork of one prepared world; MiniStack is another process, so there each case prepares its own.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import tempfile
import threading
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from orchestrator.emulator import Emulator
from orchestrator.model import Desired
from orchestrator.steps import is_read
from tests.proofs import world
from tests.proofs.scenarios import MORTAL, UPDATES


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

    def warm_up(self) -> None:
        """Load what any run loads, once, before the forks."""
        assert world.apply(self.after)

    def run(self, through: CrashingClients | None = None) -> None:
        bad = world.failures(world.apply(self.after, through=through, parallelism=1, destroying=self.destroying))
        assert not bad, bad

    def crash(self, at: int, when: str) -> None:
        try:
            self.run(CrashingClients(at, when))
        except Crash:
            return
        raise AssertionError(f"there is no call {at}")

    def verdict(self) -> dict[str, Any]:
        """What the account looks like, to compare with an undisturbed run."""
        planned = world.planned(self.after, destroying=self.destroying)
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
    if name == "create":
        return Scenario(None, world.stack(folder / "new"))
    if name == "destroy":
        mortal = world.stack(folder / "mortal", *MORTAL)
        return Scenario(mortal, mortal, destroying=True)
    return Scenario(world.stack(folder / "old"), world.stack(folder / "new", *UPDATES[name]))


def cases(total: int, shard: tuple[int, int]) -> Iterator[tuple[int, str]]:
    """Every call, before and after; every ``of``-th of them."""
    every = [(at, when) for at in range(1, total + 1) for when in ("before", "after")]
    index, of = shard
    yield from every[index::of]


def judge(chosen: Scenario, at: int, when: str, expected: dict[str, Any]) -> list[str]:
    """What is wrong after a crash and one further run; nothing, if all is well."""
    chosen.crash(at, when)
    chosen.run()
    found = chosen.verdict()
    return [f"{key}: {_difference(expected[key], found[key])}" for key in expected if expected[key] != found[key]]


def _difference(expected: Any, found: Any) -> str:
    if isinstance(expected, dict) and isinstance(found, dict):
        keys = [key for key in {**expected, **found} if expected.get(key) != found.get(key)]
        return "; ".join(f"{key}: {_difference(expected.get(key), found.get(key))}" for key in keys)
    before, after = str(expected), str(found)
    start = next((n for n, pair in enumerate(zip(before, after, strict=False)) if pair[0] != pair[1]), 0)
    return f"...{before[max(0, start - 40) : start + 80]} became ...{after[max(0, start - 40) : start + 80]}"


def in_fork(emulator: Emulator, body: Callable[[], Any]) -> Any:
    """Run ``body`` in a copy of this process and of the world in it; returns what it returned."""
    reading, writing = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            os.close(reading)
            emulator.open(urlsplit(os.environ["AWS_ENDPOINT_URL"]).port or 0)  # the clients are made already
            answer = json.dumps(body())
        except BaseException as error:  # noqa: BLE001 - whatever it was, the parent has to hear of it
            answer = json.dumps([f"{type(error).__name__}: {error}"])
        with os.fdopen(writing, "w") as pipe:
            pipe.write(answer)
        os._exit(0)
    os.close(writing)
    with os.fdopen(reading) as pipe:
        answer = pipe.read()
    os.waitpid(child, 0)
    return json.loads(answer)


def on_moto(chosen: Scenario, shard: tuple[int, int]) -> Iterator[tuple[int, str, list[str]]]:
    """Prepare once; every case is a fork."""
    with world.aws("moto") as emulator:
        chosen.warm_up()
        emulator.reset()
        chosen.prepare()
        emulator.pause()
        total, expected = in_fork(emulator, lambda: undisturbed(chosen))
        for at, when in cases(total, shard):
            yield at, when, in_fork(emulator, partial(judge, chosen, at, when, expected))


def on_ministack(chosen: Scenario, shard: tuple[int, int]) -> Iterator[tuple[int, str, list[str]]]:
    """Prepare for every case."""
    with world.aws("ministack") as emulator:
        chosen.prepare()
        total, expected = undisturbed(chosen)
        for at, when in cases(total, shard):
            emulator.reset()
            chosen.prepare()
            yield at, when, judge(chosen, at, when, expected)


def undisturbed(chosen: Scenario) -> tuple[int, dict[str, Any]]:
    """How many mutating calls a run makes, and how it ends."""
    clients = CrashingClients()
    chosen.run(clients)
    return clients.writes, chosen.verdict()


def main() -> None:
    """One line a case."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("scenario")
    parser.add_argument("--backend", default="moto", choices=world.BACKENDS)
    parser.add_argument("--shard", default="0/1", help="I/N: every N-th case, beginning with the I-th")
    options = parser.parse_args()
    index, of = map(int, options.shard.split("/"))
    on = on_moto if options.backend == "moto" else on_ministack
    with tempfile.TemporaryDirectory() as folder:
        for at, when, wrong in on(scenario(options.scenario, Path(folder)), (index, of)):
            sys.stdout.write(json.dumps({"call": at, "when": when, "wrong": wrong}) + "\n")
            sys.stdout.flush()


if __name__ == "__main__":
    main()
