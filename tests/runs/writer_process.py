"""A process that writes to AWS for as long as it holds its lease: ``python -m tests.runs.writer_process KIND NAME``.

KIND is ``bucket`` or ``service``; the lease in the bucket is that of the environment NAME.  It prints "writing" when it
begins, and the reason for which it ends.
"""

from __future__ import annotations

import base64
import hashlib
import itertools
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

from orchestrator.aws import Clients, StepExecutor
from orchestrator.problems import Problems
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.state.client import service_reporter
from orchestrator.state.client.api_client import StateClient
from orchestrator.state.client.journal import Journal
from orchestrator.state.client.payloads import current_timestamp
from orchestrator.state.client.sender import LeaseHeartbeat
from orchestrator.state.protocol.records import Run
from orchestrator.state.protocol.requests import BeginRunRequest, RunLeaseStatus
from orchestrator.steps import ApiCall, Batch

LEASES_BUCKET = "leases"
BUCKET_TTL_SECONDS = 6.0
SERVICE_TTL_SECONDS = 2.0
UPLOADS_BUCKET = "uploads"


@contextmanager
def hold_bucket_lease(name: str) -> Iterator[Callable[[], None]]:
    store = LedgerStore(Clients("eu-west-1"), LEASES_BUCKET, name)

    def check() -> None:
        if not held.is_held():
            raise Problems.from_message("another run holds the lock")

    with bucket_lease.acquire(store, name, "apply", ttl_seconds=BUCKET_TTL_SECONDS) as held:
        yield check


@contextmanager
def hold_service_lease(name: str) -> Iterator[Callable[[], None]]:
    import os

    run = Run(name, f"shop/{name}", "apply", "ana", "c0ffee", current_timestamp())
    with StateClient.from_environ(os.environ) as client:
        status = client.request_record(RunLeaseStatus, "POST", "/runs", BeginRunRequest(run))
        assert status.fence is not None
        heartbeat = LeaseHeartbeat(
            client, run.id, status.fence, ttl_seconds=SERVICE_TTL_SECONDS, interval_seconds=SERVICE_TTL_SECONDS / 4
        )
        journal = Journal(Path(f"{name}.jsonl"))
        reporter = service_reporter.ServiceReporter(run, journal, client, status.fence, heartbeat)
        yield reporter.require_lease


def write_until_stopped(name: str, check: Callable[[], None]) -> None:
    """Single calls, batches and uploads, at once."""
    clients = Clients("eu-west-1").with_before_send(check)
    executor = StepExecutor(clients)
    file = Path(f"{name}.txt")
    file.write_text(name)
    checksum = base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()

    def group(number: str) -> ApiCall:
        return ApiCall("logs", "create_log_group", {"logGroupName": f"{name}/{number}"})

    def upload(number: str) -> ApiCall:
        request = {"Bucket": UPLOADS_BUCKET, "Key": f"{name}/{number}", "Body": file, "ChecksumSHA256": checksum}
        return ApiCall("s3", "put_object", request)

    def write(kind: str, make: Callable[[str], ApiCall]) -> None:
        for number in itertools.count():
            calls = tuple(make(f"{kind}-{number}-{part}") for part in range(4))
            executor.perform(calls[0])
            executor.perform(Batch(calls[1:], "more"))

    failures: list[Exception] = []

    def run_thread(kind: str, make: Callable[[str], ApiCall]) -> None:
        try:
            write(kind, make)
        except Exception as error:  # noqa: BLE001 - told by the main thread
            failures.append(error)

    threads = [threading.Thread(target=run_thread, args=pair) for pair in (("group", group), ("upload", upload))]
    for thread in threads:
        thread.start()
    print("writing", flush=True)  # noqa: T201 - for the test
    for thread in threads:
        thread.join()
    print(*(str(failure).splitlines()[0] for failure in failures), sep="\n", flush=True)  # noqa: T201


if __name__ == "__main__":
    hold = {"bucket": hold_bucket_lease, "service": hold_service_lease}[sys.argv[1]]
    with hold(sys.argv[2]) as lock_check:
        write_until_stopped(sys.argv[2], lock_check)
