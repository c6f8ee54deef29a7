"""A writer that is stopped past its lease sends nothing to AWS afterwards: real processes, SIGSTOP, throttling.

The lock was once asked for before a call was prepared: under throttling, four retries were sent each time.
"""

from __future__ import annotations

import random
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.emulator import Emulator, Faults
from orchestrator.emulator.faults import Rule
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.state.client.payloads import current_timestamp
from orchestrator.state.protocol.records import Run
from tests.cli.state_service import RunningService
from tests.runs import writer_process

ROOT = Path(__file__).resolve().parents[2]
WRITERS = [(kind, f"{kind}-{number}") for kind in ("bucket", "service") for number in range(4)]
THROTTLED = Faults(latency_ms=20, rules=(Rule("throttle", "logs", probability=0.6),))
PLACE: dict[str, Any] = {"CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}


@pytest.fixture
def writers(aws: Emulator, service: RunningService, tmp_path: Path) -> Iterator[dict[str, subprocess.Popen[str]]]:
    """Processes that write, each with a lease of its own."""
    for bucket in (writer_process.LEASES_BUCKET, writer_process.UPLOADS_BUCKET):
        Clients("eu-west-1").call("s3", "create_bucket", {"Bucket": bucket, **PLACE})
    command = [sys.executable, "-m", "tests.runs.writer_process"]
    processes = {
        name: subprocess.Popen([*command, kind, name], cwd=tmp_path, text=True, stdout=subprocess.PIPE)
        for kind, name in WRITERS
    }
    yield processes
    for process in processes.values():
        process.kill()
        process.wait(10)


def list_written(name: str) -> set[str]:
    """What a writer has made."""
    clients = Clients("eu-west-1")
    groups = clients.pages("logs", "describe_log_groups", {"logGroupNamePrefix": f"{name}/"})
    objects = clients.pages("s3", "list_objects_v2", {"Bucket": writer_process.UPLOADS_BUCKET, "Prefix": f"{name}/"})
    return {group["logGroupName"] for page in groups for group in page["logGroups"]} | {
        item["Key"] for page in objects for item in page.get("Contents", ())
    }


def take_over(kind: str, name: str, service: RunningService) -> None:
    """Another run gets the lease, as soon as it can, and ends."""
    if kind == "service":
        service.clock.offset_seconds += 61
        run = Run(f"next-{name}", f"shop/{name}", "apply", "ben", "c0ffee", current_timestamp())
        assert service.store.begin_run(run, "ben").fence is not None
        return
    store = LedgerStore(Clients("eu-west-1"), writer_process.LEASES_BUCKET, name)
    deadline = time.monotonic() + 30
    while True:
        try:
            with bucket_lease.acquire(store, "ben", "apply", ttl_seconds=writer_process.BUCKET_TTL_SECONDS):
                return
        except bucket_lease.LockHeldError:
            assert time.monotonic() < deadline
            time.sleep(0.2)


@pytest.mark.slow
@pytest.mark.timeout(180)
def test_a_stopped_writer_sends_nothing_once_another_holds_its_lease(
    aws: Emulator, service: RunningService, writers: dict[str, subprocess.Popen[str]], monkeypatch: pytest.MonkeyPatch
) -> None:
    """Both leases, eight writers, each stopped at a random moment of its calls, batches, uploads and their retries."""
    for process in writers.values():
        assert process.stdout is not None
        assert process.stdout.readline() == "writing\n"
    deadline = time.monotonic() + 60
    while not all(list_written(name) for _, name in WRITERS):
        assert time.monotonic() < deadline
    aws.faults = THROTTLED
    for process in writers.values():
        time.sleep(random.uniform(0.1, 0.4))
        process.send_signal(signal.SIGSTOP)
    time.sleep(writer_process.SERVICE_TTL_SECONDS + 0.5)
    aws.faults = Faults()
    for kind, name in WRITERS:
        take_over(kind, name, service)
    before = {name: list_written(name) for _, name in WRITERS}
    for process in writers.values():
        process.send_signal(signal.SIGCONT)
    ended = {name: process.communicate(timeout=60)[0] for name, process in writers.items()}

    assert {name: list_written(name) - before[name] for _, name in WRITERS} == {name: set() for _, name in WRITERS}
    for _, name in WRITERS:
        assert "lock" in ended[name], "each says why it stopped"
