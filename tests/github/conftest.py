"""A shop on a fake GitHub and an emulated AWS, and a runner for its workflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator, Faults, start
from tests.github import act, server
from tests.github.shop import Shop


@pytest.fixture(scope="session")
def shared() -> Iterator[Emulator]:
    """One emulator a worker: starting is the slow part."""
    with start() as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, shared: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[Shop]:
    if missing := act.available():
        pytest.skip(missing)
    shared.reset()
    shared.faults = Faults()
    shared.forget_calls()
    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    with server.serve(tmp_path / "shop.git") as hub:
        yield Shop(tmp_path, shared, hub)
        assert (hub.unknown, hub.misshapen) == ([], [])
