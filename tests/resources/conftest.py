"""An emulated AWS of either kind, one for all tests of a worker, emptied for each."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pytest

from orchestrator import emulator
from orchestrator.aws import Clients, Reader, StepExecutor
from tests.resources.cases import SCOPE


@dataclass(frozen=True)
class Aws:
    """One running AWS and the clients that speak to it."""

    emulator: emulator.Emulator
    clients: Clients

    @property
    def actuator(self) -> StepExecutor:
        return StepExecutor(self.clients)

    def reader(self) -> Reader:
        """New eyes: what one has seen, it does not look at again."""
        return Reader(self.clients)


@pytest.fixture(scope="session")
def running(request: pytest.FixtureRequest) -> Iterator[Aws]:
    """Things settle at once: what they go through meanwhile is proven elsewhere."""
    with emulator.start(backend=request.param, settle_seconds=0, account=SCOPE.account, region=SCOPE.region) as found:
        yield Aws(found, Clients(SCOPE.region, attempts=2))


@pytest.fixture
def aws(running: Aws, monkeypatch: pytest.MonkeyPatch) -> Aws:
    """Empty."""
    running.emulator.reset()
    for name, value in running.emulator.environment.items():
        monkeypatch.setenv(name, value)
    return running
