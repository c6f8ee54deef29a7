"""A state service that runs of the command line tell, and what they leave behind for one that is away."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from orchestrator.emulator import Emulator
from orchestrator.state.client.payloads import current_timestamp
from orchestrator.state.protocol.records import Run as Told
from orchestrator.state.protocol.records import StepEvent
from orchestrator.state.server.access import TokenGrant, create_token
from orchestrator.state.server.store import Store
from tests.state.pages.page_service import make_settings, serve

ENVIRONMENT_KEY = "shop/prod"
UNREACHABLE_URL = "http://127.0.0.1:9"
"""Nothing listens there."""


class AdjustableClock:
    """The clock of a service, which may be put forward."""

    def __init__(self) -> None:
        self.offset_seconds = 0.0

    def __call__(self) -> float:
        return time.time() + self.offset_seconds


@dataclass
class RunningService:
    """One that runs, and the way to it."""

    address: str
    store: Store
    clock: AdjustableClock

    def only_run(self) -> Told:
        """The one run that it knows."""
        (run,) = self.store.list_runs().items
        return run

    def count_running_events(self) -> int:
        """How many events of a run that goes on it has by now."""
        running_ids = [
            run.id for run in self.store.list_runs().items if run.status == "running" and run.verb == "apply"
        ]
        return len(self.store.list_events(running_ids[0])) if running_ids else 0

    def events(self, run: str) -> tuple[StepEvent, ...]:
        return self.store.list_events(run)

    def acquire_lease(self, owner: str) -> int:
        """Somebody else writes; their fence."""
        fence = self.store.begin_run(
            Told("theirs", ENVIRONMENT_KEY, "deploy", owner, "c0ffee", current_timestamp()), owner
        ).fence
        assert fence is not None
        return fence


@contextmanager
def run_service(folder: Path) -> Iterator[tuple[RunningService, str]]:
    """One that knows nothing yet, and a token for it."""
    service_settings, clock = make_settings(folder), AdjustableClock()
    store = Store.open(service_settings.database, clock)
    token = create_token(store, "ci", TokenGrant(("read", "propose", "write")), 3600.0, "tests")
    with serve(store, service_settings) as address:
        yield RunningService(address, store, clock), token


def list_journals() -> list[Path]:
    return sorted(Path(".orchestrator").rglob("*.jsonl"))


def list_write_calls(aws: Emulator) -> list[str]:
    return [call.name for call in aws.calls if call.access == "write"]
