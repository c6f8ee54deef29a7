"""A shop on a fake GitHub and an emulated AWS, and a runner for its workflows."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import Emulator, Faults, start
from orchestrator.state.server.store import Store as State
from tests.github import fake_github_server, workflow_runner
from tests.github.shop_repository import ShopRepository
from tests.state.api_service import ApiService, run_api_service
from tests.state.fake_issuer import SETTINGS, FakeIssuer


@pytest.fixture(scope="session")
def shared() -> Iterator[Emulator]:
    """One emulator a worker: starting is the slow part."""
    with start() as running:
        yield running


@pytest.fixture
def shop(tmp_path: Path, shared: Emulator, monkeypatch: pytest.MonkeyPatch) -> Iterator[ShopRepository]:
    if missing := workflow_runner.missing_requirement():
        pytest.skip(missing)
    shared.reset()
    shared.faults = Faults()
    shared.clear_calls()
    for name, value in shared.environment.items():
        monkeypatch.setenv(name, value)
    with fake_github_server.serve(tmp_path / "shop.git") as hub:
        yield ShopRepository(tmp_path, shared, hub)
        assert (hub.unhandled_requests, hub.schema_violations) == ([], [])


@pytest.fixture
def service(shop: ShopRepository, tmp_path: Path) -> Iterator[ApiService]:
    """A state service for the shop's workflows, which come with tokens that their GitHub signs."""
    issuer, store = FakeIssuer(), State.open(f"sqlite:///{tmp_path}/state.db")

    def issue(audience: str) -> str:
        own = f"oidc.{audience}.token"
        return issuer.sign_token(**shop.job_claims) if audience == "orchestrator-state" else own

    with run_api_service(store, issuer.fetch_keys, **SETTINGS) as made:
        shop.hub.issue_token, shop.vars["ORCHESTRATOR_STATE_URL"] = issue, made.address
        yield made
