"""What is asked before each request that goes to AWS: first attempts, retries, pages, batches and uploads.

A run asks there whether it still holds its lock.  botocore documents ``before-send`` as the event right before a
request is sent; it emits it for each attempt.
"""

from __future__ import annotations

import base64
import hashlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.aws.step_executor import StepExecutor
from orchestrator.emulator import Emulator, Faults
from orchestrator.emulator.faults import Rule
from orchestrator.steps import ApiCall, Batch
from tests.aws.test_s3_upload import LARGE, emulator, running

__all__ = ["emulator", "running"]
THROTTLED = Faults(rules=(Rule("throttle", "s3", "Put*", limit=1), Rule("throttle", "s3", "List*", limit=1)))
DROPPED = Faults(rules=(Rule("reset_after", "s3", limit=1),))
OBJECT = {"Bucket": "web", "Body": b"x"}


class LockLostError(Exception):
    """The answer to a request that may not be sent."""


class CountingGuard:
    """Lets ``allowed`` requests pass, then none."""

    def __init__(self, allowed: int) -> None:
        self.allowed, self.asked = allowed, 0
        self._lock = threading.Lock()

    def __call__(self) -> None:
        with self._lock:
            self.asked += 1
            if self.asked > self.allowed:
                raise LockLostError


def put(clients: Clients, _: Path) -> None:
    clients.call("s3", "put_object", {**OBJECT, "Key": "a"})


def list_pages(clients: Clients, _: Path) -> None:
    clients.pages("s3", "list_objects_v2", {"Bucket": "web", "PaginationConfig": {"PageSize": 1}})


def upload(clients: Clients, file: Path) -> None:
    """Twice: the first goes through botocore, the second does not."""
    for key in "ab":
        checksum = base64.b64encode(hashlib.sha256(file.read_bytes()).digest()).decode()
        clients.call("s3", "put_object", {"Bucket": "web", "Key": key, "Body": file, "ChecksumSHA256": checksum})


def put_batch(clients: Clients, _: Path) -> None:
    calls = tuple(ApiCall("s3", "put_object", {**OBJECT, "Key": f"b{number}"}) for number in range(5))
    StepExecutor(clients).perform(Batch(calls, "objects"))


@pytest.mark.parametrize(
    ("way", "faults"),
    [
        *((way, Faults()) for way in (put, list_pages, upload, put_batch)),
        *((way, THROTTLED) for way in (list_pages, put_batch)),
        *((way, DROPPED) for way in (put, upload)),
    ],
)
def test_no_request_is_sent_unasked(
    emulator: Emulator, tmp_path: Path, way: Callable[[Clients, Path], None], faults: Faults
) -> None:
    """However many may pass, AWS sees that many and no more; a refusal is raised as it is, and not tried again."""
    file = tmp_path / "a.js"
    file.write_bytes(b"1")
    setup = Clients("eu-west-1")
    for key in "xyz":
        setup.call("s3", "put_object", {**OBJECT, "Key": key})
    clients = Clients("eu-west-1")
    refused = seen = 0
    for allowed in range(0, 200, 1 if way is put else 4):
        emulator.faults = faults
        emulator.clear_calls()
        guard = CountingGuard(allowed)
        try:
            way(clients.with_before_send(guard), file)
        except LockLostError:
            refused += 1
            seen = len(emulator.calls)
            assert seen <= allowed / 2, "each is asked for before it gets a connection, and again on that"
            continue
        assert len(emulator.calls) <= allowed / 2
        break
    assert refused >= 2
    assert seen >= (0 if way is put and not faults.rules else 1)


def test_a_long_upload_ends_where_its_run_has_to(emulator: Emulator, tmp_path: Path) -> None:
    """It is asked before each chunk, too: a stopped process would send the rest when it goes on."""
    file = tmp_path / "large.js"
    file.write_bytes(LARGE)
    guard = CountingGuard(1_000)
    upload(Clients("eu-west-1").with_before_send(guard), file)
    guard.allowed = guard.asked - 1
    emulator.clear_calls()
    guard.asked = 0
    with pytest.raises(LockLostError):
        upload(Clients("eu-west-1").with_before_send(guard), file)
    assert [call.status for call in emulator.calls if call.executed].count(200) < 2


def test_what_a_guard_itself_asks_of_aws_is_not_asked_about(emulator: Emulator) -> None:
    """It reads the lease with clients of its own; in the same thread, through the same session."""
    setup, asked = Clients("eu-west-1"), []

    def read_lease() -> None:
        asked.append(setup.call("s3", "list_buckets", {})["Buckets"][0]["Name"])

    guarded: Any = setup.with_before_send(read_lease)
    guarded.call("s3", "put_object", {**OBJECT, "Key": "a"})
    setup.call("s3", "put_object", {**OBJECT, "Key": "b"})

    assert set(asked) == {"web"}


@pytest.mark.parametrize("first", [0, 1])
def test_a_copy_shares_what_either_creates_first(emulator: Emulator, tmp_path: Path, first: int) -> None:
    """A copy that was made before the first call once had the client of the other half, but no session."""
    clients = Clients("eu-west-1")
    pair = (clients, clients.with_before_send(lambda: None))
    file = tmp_path / "a.js"
    file.write_bytes(b"1")

    pair[first].call("s3", "list_objects_v2", {"Bucket": "web"})
    for half in pair:
        emulator.clear_calls()
        upload(half, file)
        assert [call.operation for call in emulator.calls if call.executed] == ["PutObject", "PutObject"]
