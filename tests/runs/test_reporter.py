"""Runs that tell the state service: what it has of them, and that nothing but writing hangs on it."""

from __future__ import annotations

import json
import os
import signal
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.cli.main import main
from orchestrator.emulator import Emulator, Faults
from orchestrator.state.client.payloads import current_timestamp
from orchestrator.state.protocol.lease_queue import LEASE_TTL_SECONDS
from orchestrator.state.protocol.records import RunResult
from tests.cli.conftest import MANIFESTS, Run
from tests.cli.state_service import ENVIRONMENT_KEY, UNREACHABLE_URL, RunningService, list_journals, list_write_calls


def test_an_apply_is_told_while_it_happens(aws: Emulator, run: Run, service: RunningService) -> None:
    """Who, which plan, every step in order, how it ended, drift; and the lease is free again."""
    aws.faults = Faults(latency_ms=150)
    seen: set[int] = set()
    watching, over = threading.Event(), threading.Event()

    def watch() -> None:
        watching.set()
        while not over.is_set():
            seen.add(service.count_running_events())
            time.sleep(0.05)

    looking = threading.Thread(target=watch, daemon=True)
    looking.start()
    watching.wait(5)
    shown = run("apply", "--auto-approve")
    over.set()
    looking.join(5)

    told = service.only_run()
    assert shown.code == 0, shown.err
    assert f"Recording this run: {service.address}/runs/{told.id}" in shown.err
    assert (told.verb, told.status, told.environment) == ("apply", "succeeded", ENVIRONMENT_KEY)
    assert [one.actuation for one in told.outcomes] == ["succeeded"] * 3
    events = service.events(told.id)
    assert len(seen) > 2
    assert [one.sequence for one in events] == list(range(1, told.sequence + 1))
    assert sorted(one.address for one in events if one.kind == "finished") == sorted(o.address for o in told.outcomes)
    plan = service.store.get_plan(told.plan)
    assert plan is not None
    assert {change.address for change in plan.plan.pending_changes} == {one.address for one in told.outcomes}
    assert service.store.get_lease(ENVIRONMENT_KEY).holder is None
    assert list_journals() == []
    aws.faults = Faults()
    assert run("drift").code == 0
    assert [report.drifted for report in service.store.list_drift_reports(ENVIRONMENT_KEY).items] == [0]


def test_nothing_is_planned_by_what_the_service_knows(
    aws: Emulator, run: Run, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without it the plan is the same; it only says that it could not tell anybody."""
    told = run("plan", "--format", "json")
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", UNREACHABLE_URL)
    alone = run("plan", "--format", "json")
    monkeypatch.delenv("ORCHESTRATOR_STATE_URL")

    assert (alone.code, alone.out) == (0, told.out)
    assert "Could not record the plan" in alone.err
    assert run("plan", "--format", "json").out == told.out
    assert service.store.list_runs().items == ()


def test_without_the_service_an_apply_stops_or_keeps_a_journal(
    aws: Emulator, run: Run, service: RunningService, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Handed in afterwards, twice: each event is there once, in order."""
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", UNREACHABLE_URL)
    stopped = run("apply", "--auto-approve")

    assert stopped.code == 1
    assert "does not respond" in stopped.err
    assert "nothing was changed" in stopped.err
    assert "--without-record" in stopped.err
    assert list_write_calls(aws) == []
    assert list_journals() == []

    applied = run("apply", "--auto-approve", "--without-record")
    (journal,) = list_journals()
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", service.address)

    assert applied.code == 0
    assert f"orchestrator history import {journal}" in applied.err
    for _ in range(2):
        assert main(["history", "import", str(journal)]) == 0
    told = service.only_run()
    assert (told.status, told.verb) == ("succeeded", "apply")
    assert [one.sequence for one in service.events(told.id)] == list(range(1, told.sequence + 1))
    assert len([one for one in service.events(told.id) if one.kind == "finished"]) == 3
    assert service.store.get_plan(told.plan) is not None


def test_a_killed_run_is_handed_in_as_lost(aws: Emulator, run: Run, service: RunningService, tmp_path: Path) -> None:
    """Its journal has no end, and its last line may be cut short."""
    run("apply", "--auto-approve", "--without-record")
    (journal,) = list_journals()
    lines = journal.read_bytes().splitlines(keepends=True)
    cut = tmp_path / "cut.jsonl"
    cut.write_bytes(b"".join(lines[:-2]) + lines[-2][:20])

    assert main(["history", "import", str(cut)]) == 0
    told = service.only_run()
    assert (told.status, told.cause) == ("lost", "the run was killed: its journal is incomplete")
    assert main(["history", "import", str(journal)]) == 0
    assert service.only_run().status == "succeeded"


def test_one_writes_and_the_other_is_told_or_waits(aws: Emulator, run: Run, service: RunningService) -> None:
    """Planning asks nobody."""
    fence = service.acquire_lease("bo")
    refused = run("apply", "--auto-approve")

    assert refused.code == 1
    assert "shop/prod is locked by bo (deploy c0ffee); nothing was changed" in refused.err
    assert run("plan").code == 0
    assert list_write_calls(aws) == []

    def ends() -> None:
        while not service.store.get_lease(ENVIRONMENT_KEY).waiting:
            time.sleep(0.05)
        service.store.end_run("theirs", fence, RunResult("succeeded", current_timestamp()), "bo")

    ending = threading.Thread(target=ends, daemon=True)
    ending.start()
    waited = run("apply", "--auto-approve", "--wait")
    ending.join(5)

    assert waited.code == 0, waited.err
    assert "Waiting for bo (deploy c0ffee) ..." in waited.err
    assert [one.status for one in service.store.list_runs().items] == ["succeeded", "succeeded"]


@pytest.mark.parametrize("overtake", ["freed", "expired"])
def test_a_zombie_makes_no_further_call(
    aws: Emulator, run: Run, service: RunningService, overtake: str, manifests: Path
) -> None:
    """Its lease went to another: the next of its words is refused, and with that it ends."""
    more = MANIFESTS + "".join(
        f"---\n{MANIFESTS.split('---')[1].replace('files', f'files{number}').strip()}\n" for number in range(12)
    )
    (manifests / "shop.yaml").write_text(more)
    aws.faults = Faults(latency_ms=100)
    made: list[float] = []

    def another() -> None:
        while service.count_running_events() < 4:
            time.sleep(0.05)
        if overtake == "freed":
            service.store.revoke_lease(ENVIRONMENT_KEY, "an operator")
        else:
            service.clock.offset_seconds = LEASE_TTL_SECONDS + 1
        service.acquire_lease("bo")
        made.append(time.monotonic())

    overtaking = threading.Thread(target=another, daemon=True)
    overtaking.start()
    shown = run("apply", "--auto-approve", "--parallelism", "2")
    ended = time.monotonic()
    overtaking.join(5)

    assert shown.code == 1
    assert "stopped without further AWS calls" in shown.out
    assert ended - made[0] < 10
    (bucket, *_) = [one for one in service.store.list_runs().items if one.verb == "apply"]
    assert bucket.status == "lost"
    assert len(list_journals()) == 1
    before = len(list_write_calls(aws))
    assert before < 13 * 8
    assert service.store.get_lease(ENVIRONMENT_KEY).holder is not None
    assert main(["history", "import", str(list_journals()[0])]) == 0
    (known,) = [one for one in service.store.list_runs().items if one.verb == "apply"]
    assert known.status == "failed"
    assert known.sequence == len(service.events(known.id))


def test_whoever_does_not_agree_has_not_failed(aws: Emulator, run: Run, service: RunningService) -> None:
    """Nobody is asked without a terminal; the lease is free, and the environment is no worse for it."""
    assert run("apply").code == 1
    assert (service.only_run().status, service.only_run().cause[:25]) == ("interrupted", "this plan is not approved")
    assert service.store.get_lease(ENVIRONMENT_KEY).holder is None
    environment = service.store.get_environment(ENVIRONMENT_KEY)
    assert environment is not None
    assert environment.health != "failed"


def test_what_is_stopped_by_hand_frees_itself(
    aws: Emulator, run: Run, service: RunningService, by_signal: Callable[[], None]
) -> None:
    """As GitHub stops a job: politely, and a few seconds later not."""
    aws.faults = Faults(latency_ms=200)
    by_signal()
    shown = run("apply", "--auto-approve")

    assert shown.code == 130
    assert service.only_run().status == "interrupted"
    assert service.store.get_lease(ENVIRONMENT_KEY).holder is None
    assert list_journals() == []


@pytest.fixture
def by_signal(service: RunningService) -> Callable[[], None]:
    """Send this process a SIGTERM once its run has told something."""

    def wait() -> None:
        while service.count_running_events() < 2:
            time.sleep(0.02)
        os.kill(os.getpid(), signal.SIGTERM)

    return threading.Thread(target=wait, daemon=True).start


SECRETS = """---
apiVersion: orchestrator/v1
kind: Secret
metadata: {name: app}
spec:
  name: shop-app
  data: {"Jwt:Key": {generate: {length: 48}}}
"""


def test_no_secret_reaches_the_service(
    aws: Emulator, run: Run, service: RunningService, manifests: Path, by_hand: Callable[..., Any], tmp_path: Path
) -> None:
    """Not in what it keeps, not in a journal: the value that was generated, searched for byte by byte."""
    (manifests / "shop.yaml").write_text(MANIFESTS + SECRETS)
    assert run("apply", "--auto-approve").code == 0
    assert run("apply", "--auto-approve", "--without-record").code == 0
    value = by_hand("secretsmanager", "get_secret_value", SecretId="shop-app")["SecretString"]
    generated = json.loads(value)["Jwt:Key"]
    kept = [file.read_bytes() for file in tmp_path.rglob("*") if file.is_file()]

    assert len(generated) == 48
    assert any(b"secretsmanager_value" in data for data in kept)
    assert [data for data in kept if generated.encode() in data] == []
