"""An emulator for each module that deploys."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from orchestrator.emulator import Emulator, Faults, start


@pytest.fixture(scope="module")
def running() -> Iterator[Emulator]:
    with start(settle_seconds=0.02) as emulator:
        yield emulator


@pytest.fixture
def aws(running: Emulator, monkeypatch: pytest.MonkeyPatch) -> Emulator:
    """Empty and without faults."""
    running.reset()
    running.faults = Faults()
    for name, value in running.environment.items():
        monkeypatch.setenv(name, value)
    return running
