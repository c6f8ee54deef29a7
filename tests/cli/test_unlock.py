"""``orchestrator unlock``: whose lock it was is told, who freed it and why is kept, and a run that goes on stops."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from orchestrator.aws import Clients
from orchestrator.emulator import Emulator
from orchestrator.problems import Problems
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.runs import lock
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings
from orchestrator.state.server.access import TokenGrant, create_token
from tests.cli.conftest import Run
from tests.cli.state_service import ENVIRONMENT_KEY, UNREACHABLE_URL, RunningService
from tests.runs.test_lock import SCOPE, releases

__all__ = ["releases"]
WHY = ("--reason", "the runner was shut down")


@pytest.fixture
def stack(run: Run, releases: LedgerStore, aws: Emulator) -> LedgerStore:
    """The stack with its release bucket."""
    assert run("apply", "--auto-approve").code == 0
    return releases


def test_a_dead_runs_lock_is_freed(run: Run, stack: LedgerStore) -> None:
    with bucket_lease.acquire(stack, "ben", "deploy"):
        refused = run("apply", "--auto-approve")
        assert "or remove the lock now: orchestrator unlock -e prod --reason WHY" in refused.err
        shown = run("unlock", *WHY)
        assert (shown.code, shown.err) == (0, "")
        assert shown.out.startswith("Unlocked prod: it was locked by ben (deploy), last renewed at 20")
        freed = json.loads(stack.fetch(bucket_lease.lease_key(stack)).data)  # type: ignore[union-attr]
        assert freed["reason"] == "unlocked: the runner was shut down"
        assert run("apply", "--auto-approve").code == 0
    assert run("unlock", *WHY).out == "prod was not locked.\n"


def test_a_reason_has_to_be_given(run: Run, stack: LedgerStore) -> None:
    for words in ((), ("--reason", " ")):
        shown = run("unlock", *words)
        assert (shown.code, "--reason" in shown.err) == (1, True)


def test_a_run_that_goes_on_stops_before_its_next_request(run: Run, stack: LedgerStore, aws: Emulator) -> None:
    """It notices at its next renewal, or when it can no longer be sure."""
    now = [1e9]
    clients = Clients("eu-west-1")
    with lock.write_lock(Settings(), SCOPE, "apply", RunOptions(), clients, stack, clock=lambda: now[0]) as held:
        held.clients.call("s3", "list_buckets", {})
        assert run("unlock", *WHY).code == 0
        now[0] += bucket_lease.LEASE_TTL_SECONDS
        aws.clear_calls()
        with pytest.raises(Problems, match="another run has taken over the lock"):
            held.clients.call("s3", "list_buckets", {})
        assert "ListBuckets" not in {call.operation for call in aws.calls}


@pytest.mark.parametrize(("scopes", "person", "may"), [
    (("operate",), "", True),
    (("read", "propose", "write"), "ana", True),
    (("read", "propose", "write"), "", False),
    (("propose",), "ana", False),
])  # fmt: skip
def test_the_lock_of_the_service_is_freed_by_those_who_may(
    run: Run, service: RunningService, monkeypatch: pytest.MonkeyPatch, scopes: tuple[str, ...], person: str, may: bool
) -> None:
    """Operators, and workflows that act for a person; a token for scripts has no business with other runs."""
    token = create_token(service.store, "t", TokenGrant(scopes, ENVIRONMENT_KEY, person), 3600.0, "tests")
    monkeypatch.setenv("ORCHESTRATOR_STATE_TOKEN", token)
    service.acquire_lease("ben")

    shown = run("unlock", *WHY)

    assert shown.code == 0
    lost = service.store.get_run("theirs")
    assert lost is not None
    if not may:
        assert "The lock in the state service was not removed" in shown.err
        assert lost.status == "running"
        return
    assert shown.out == "Unlocked prod: it was locked by ben (theirs) in the state service.\n"
    assert (lost.status, lost.cause) == (
        "lost", f"{person or 't'} released its lock: the runner was shut down"
    )  # fmt: skip


def test_the_service_is_not_needed(
    run: Run, stack: LedgerStore, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", UNREACHABLE_URL)
    with bucket_lease.acquire(stack, "ben", "deploy"):
        shown = run("unlock", *WHY)
    assert (shown.code, shown.out.startswith("Unlocked prod")) == (0, True)
    assert "it expires a minute after its run has ended" in shown.err
