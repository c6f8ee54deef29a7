"""A shop on a fake GitHub and an emulated AWS, and a runner for its workflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator, Faults, start
from orchestrator.state.server.store import Store as State
from tests.github import act, server
from tests.github.shop import Shop
from tests.state.desk import Desk, desk
from tests.state.issuer import SETTINGS, Issuer


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


@pytest.fixture
def service(shop: Shop, tmp_path: Path) -> Iterator[Desk]:
    """A state service for the shop's workflows, which come with tokens that their GitHub signs."""
    issuer, store = Issuer(), State.open(f"sqlite:///{tmp_path}/state.db")

    def issue(audience: str) -> str:
        own = f"oidc.{audience}.token"
        return issuer.token(**shop.job) if audience == "orchestrator-state" else own

    with desk(store, issuer.fetch, **SETTINGS) as made:
        shop.hub.issue, shop.vars["ORCHESTRATOR_STATE_URL"] = issue, made.address
        yield made
