"""A state service that runs of the command line tell, and what they leave behind for one that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.emulator import Emulator
from orchestrator.state.client.payloads import now
from orchestrator.state.protocol.records import Run as Told
from orchestrator.state.protocol.records import StepEvent
from orchestrator.state.server.access import Grant, create_token
from orchestrator.state.server.store import Store
from tests.state.pages.house import serving, settings

KEY = "shop/prod"
AWAY = "http://127.0.0.1:9"
"""Nothing listens there."""


class Later:
    """The clock of a service, which may be put forward."""

    def __init__(self) -> None:
        self.by = 0.0

    def __call__(self) -> float:
        return time.time() + self.by


@dataclass
class Service:
    """One that runs, and the way to it."""

    address: str
    store: Store
    clock: Later

    def only(self) -> Told:
        """The one run that it knows."""
        (run,) = self.store.runs().items
        return run

    def told(self) -> int:
        """How many events of a run that goes on it has by now."""
        running = [one.id for one in self.store.runs().items if one.status == "running" and one.verb == "apply"]
        return len(self.store.events(running[0])) if running else 0

    def events(self, run: str) -> tuple[StepEvent, ...]:
        return self.store.events(run)

    def held_by(self, owner: str) -> int:
        """Somebody else writes; their fence."""
        fence = self.store.begin(Told("theirs", KEY, "deploy", owner, "c0ffee", now()), owner).fence
        assert fence is not None
        return fence


@contextmanager
def service(folder: Path) -> Iterator[tuple[Service, str]]:
    """One that knows nothing yet, and a token for it."""
    known, clock = settings(folder), Later()
    store = Store.open(known.database, clock)
    token = create_token(store, "ci", Grant(("read", "propose", "write")), 3600.0, "tests")
    with serving(store, known) as address:
        yield Service(address, store, clock), token


def journals() -> list[Path]:
    return sorted(Path(".orchestrator").rglob("*.jsonl"))


def writes(aws: Emulator) -> list[str]:
    return [call.name for call in aws.calls if call.access == "write"]
