"""The lease in the release bucket: whose clock counts, what an odd object means, and how a lock is freed.

S3 User Guide, "Conditional writes"; RFC 9110, 6.6.1 (Date) and 8.8.2 (Last-Modified).
"""

from __future__ import annotations

import json
import re
import time
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.emulator import Emulator
from orchestrator.problems import Problems
from orchestrator.release import bucket_lease
from orchestrator.release.bucket_lease import LEASE_TTL_SECONDS, LockHeldError
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.suspend_aware_clock import SuspendAwareClock
from tests.cli.conftest import aws, shared
from tests.release.aged_clients import AgedClients

__all__ = ["aws", "shared"]
BUCKET = "shop-releases"
KEY = "lease/prod.json"
DAY = 86_400.0


@pytest.fixture
def s3(aws: Emulator) -> AgedClients:
    """An S3 with the bucket, whose time the test has in hand."""
    clients = AgedClients()
    place: dict[str, Any] = {"Bucket": BUCKET, "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
    Clients("eu-west-1").call("s3", "create_bucket", place)
    return clients


@pytest.fixture
def store(s3: AgedClients) -> LedgerStore:
    return LedgerStore(s3, BUCKET, "prod", pause=lambda _: None)


def lease_of(**changes: Any) -> bytes:
    lease = {"owner": "ben", "reason": "deploy", "token": "t1", "until": time.time() + LEASE_TTL_SECONDS, **changes}
    return json.dumps(lease).encode()


OBJECTS = {
    "ours": (lease_of(), r"prod is locked by ben \(deploy\)"),
    "from the future": (lease_of(until=time.time() + 30 * DAY), r"prod is locked by ben \(deploy\)"),
    "from the year 31690708": (lease_of(until=1e15), r"prod is locked by ben \(deploy\)"),
    "of a clock that is behind": (lease_of(until=time.time() - 300), r"prod is locked by ben \(deploy\)"),
    "of before 1970": (lease_of(until=-1.0), r"prod is locked by ben \(deploy\)"),
    "of a newer version": (lease_of(format=7, fences=[1]), r"prod is locked by ben \(deploy\)"),
    "of an older version": (b'{"holder": "ben", "until": 1}', r"locked by an invalid lock object of 29 bytes"),
    "empty": (b"", r"prod is locked by an empty lock object"),
    "truncated": (lease_of()[:40], r"locked by an invalid lock object of 40 bytes"),
    "of odd types": (lease_of(owner=["ben"], until="soon"), r"an invalid lock object of \d+ bytes"),
    "a number": (b"17", r"locked by an invalid lock object of 2 bytes"),
    "not UTF-8": (b"\xff\xfe\x00", r"locked by an invalid lock object of 3 bytes"),
    "deeply nested": (b"[" * 100_000, r"locked by an invalid lock object of 100000 bytes"),
    "nested in an unknown field": (lease_of()[:-1] + b', "x": ' + b"[" * 100_000, r"an invalid lock object of"),
    "of an owner with control characters": (lease_of(owner="a\x1b[2Jb"), r"locked by a\\x1b\[2Jb \(deploy\)"),
    "of an endless name": (lease_of(owner="b" * 1_000_000), r"locked by b{200} \(deploy\)"),
}


@pytest.mark.parametrize("name", OBJECTS)
def test_any_object_is_a_lock_until_s3_says_that_it_is_old(s3: AgedClients, store: LedgerStore, name: str) -> None:
    """It has a sentence with a date and the command that frees it; two minutes after its last renewal it is no lock."""
    data, sentence = OBJECTS[name]
    s3.call("s3", "put_object", {"Bucket": BUCKET, "Key": KEY, "Body": data})

    s3.advance(LEASE_TTL_SECONDS - 5)
    with pytest.raises(LockHeldError, match=sentence) as told, bucket_lease.acquire(store, "ana", "deploy"):
        pass
    assert re.search(
        r"expires at \d{4}-\d\d-\d\d \d\d:\d\d:\d\d UTC\), or remove the lock now: orchestrator unlock",
        str(told.value),
    )
    assert len(str(told.value)) < 1_000

    s3.advance(10)
    with bucket_lease.acquire(store, "ana", "deploy") as held:
        assert held.is_held()
    assert store.fetch(KEY) is None


@pytest.mark.parametrize("name", OBJECTS)
def test_unlock_frees_whatever_is_there(s3: AgedClients, store: LedgerStore, name: str) -> None:
    data, sentence = OBJECTS[name]
    s3.call("s3", "put_object", {"Bucket": BUCKET, "Key": KEY, "Body": data})

    described = bucket_lease.free(store, "ana", "the laptop burned down")
    assert re.search(sentence.removeprefix("prod is "), described)
    assert bucket_lease.describe_lock(store) == ""
    freed = json.loads(store.fetch(KEY).data)  # type: ignore[union-attr]
    assert (freed["owner"], freed["reason"]) == ("ana", "unlocked: the laptop burned down")
    with bucket_lease.acquire(store, "ana", "deploy"):
        pass
    assert bucket_lease.free(store, "ana", "again") == ""


def test_a_run_whose_lock_was_freed_stops(store: LedgerStore) -> None:
    """It does not write its lease anew, as it would over one that S3 does not show."""
    now = [0.0]
    with bucket_lease.acquire(store, "ben", "deploy", clock=lambda: now[0]) as held:
        bucket_lease.free(store, "ana", "it hangs")
        now[0] += LEASE_TTL_SECONDS
        assert not held.is_held()
    assert json.loads(store.fetch(KEY).data)["owner"] == "ana"  # type: ignore[union-attr]


def test_a_clock_that_is_wrong_lets_nobody_in(s3: AgedClients, store: LedgerStore) -> None:
    """300 s behind, two runs once wrote for 20 s; and a renewed lease is another version, though the clock stands."""
    now = [0.0]
    with bucket_lease.acquire(store, "ben", "deploy", clock=lambda: now[0]) as held:
        etags = []
        for _ in range(4):
            now[0] += LEASE_TTL_SECONDS - 5  # unsure, so it renews
            s3.advance(LEASE_TTL_SECONDS - 5)
            assert held.is_held()
            etags.append(store.fetch(KEY).etag)  # type: ignore[union-attr]
            with pytest.raises(LockHeldError), bucket_lease.acquire(store, "ana", "deploy", clock=lambda: 1e9):
                pass
    assert len(set(etags)) == 4


def test_only_one_of_those_who_find_an_old_lease_gets_it(s3: AgedClients, store: LedgerStore) -> None:
    """The version counts that was read: a renewal in between is not written over."""

    class Renewing(AgedClients):
        """The holder renews between another's read and write."""

        def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
            if operation == "put_object":
                Clients("eu-west-1").call("s3", "put_object", {**parameters, "Body": lease_of(until=5.0)})
            return super().call(service, operation, parameters, region)

    s3.call("s3", "put_object", {"Bucket": BUCKET, "Key": KEY, "Body": lease_of()})
    other = Renewing()
    other.advance(LEASE_TTL_SECONDS)
    late = LedgerStore(other, BUCKET, "prod", pause=lambda _: other.advance(-other._seconds))
    with pytest.raises(LockHeldError, match=r"locked by ben \(deploy\)"), bucket_lease.acquire(late, "ana", "deploy"):
        pass


def test_a_response_without_a_date_decides_nothing(s3: AgedClients) -> None:
    """As of a proxy that removes it: the lock is neither old nor new."""

    class Undated(AgedClients):
        def call(self, service: str, operation: str, parameters: dict[str, Any], region: str | None = None) -> Any:
            response = super().call(service, operation, parameters, region)
            if operation == "get_object":
                response["ResponseMetadata"]["HTTPHeaders"]["date"] = "yesterday"
            return response

    undated = Undated()
    undated.call("s3", "put_object", {"Bucket": BUCKET, "Key": KEY, "Body": lease_of()})
    store = LedgerStore(undated, BUCKET, "prod", pause=lambda _: None)
    with (
        pytest.raises(Problems, match="the expiry time of its lock is unknown") as told,
        bucket_lease.acquire(store, "a", "b"),
    ):
        pass
    assert "orchestrator unlock -e prod" in str(told.value)


@pytest.mark.parametrize(
    ("boot_step", "wall_step", "passed"),
    [(5, 5, 5), (500, 500, 500), (5, 500, 500), (500, 5, 500), (5, -300, 5), (0, 0, 0)],
    ids=["awake", "laptop slept", "virtual machine slept", "wall clock slow", "wall clock set back", "no time"],
)
def test_time_passes_while_a_machine_sleeps(boot_step: float, wall_step: float, passed: float) -> None:
    """clock_gettime(2): CLOCK_BOOTTIME counts a suspension; a guest whose host slept has only its wall clock set."""
    boot, wall = [100.0], [1e9]
    clock = SuspendAwareClock(lambda: boot[0], lambda: wall[0])
    before = clock()
    boot[0] += boot_step
    wall[0] += wall_step
    assert clock() - before == pytest.approx(passed)


def test_the_clock_of_this_process_counts_suspensions() -> None:
    clock = SuspendAwareClock()
    if hasattr(time, "CLOCK_BOOTTIME"):
        before = time.clock_gettime(time.CLOCK_BOOTTIME)
        time.sleep(0.05)
        assert clock() == pytest.approx(time.clock_gettime(time.CLOCK_BOOTTIME) - before, abs=2.0)
    assert clock() > 0


LEDGERS = {
    "empty": b"",
    "cut off": b'{"releases":[',
    "endless": b"[" * 100_000,
    "deep": b'{"documents":{"a":{"file":"x","value":' + b'{"a":' * 5000 + b"1" + b"}" * 5000 + b"}}}",
    "not text": b"\xff\xfe",
    "of a version to come": b'{"version": 99}',
    "of version 0": b'{"version": 0}',
    "of another shape": b'{"releases": {"1": "x"}}',
    "of unknown fields": b'{"fences": []}',
}


@pytest.mark.parametrize("name", LEDGERS)
def test_an_odd_ledger_is_refused_with_its_place(s3: AgedClients, store: LedgerStore, name: str) -> None:
    """By whatever reads it, and it is not written over."""
    s3.call("s3", "put_object", {"Bucket": BUCKET, "Key": store.ledger_key, "Body": LEDGERS[name]})
    for use in (store.read, lambda: store.write(lambda ledger: ledger)):
        with pytest.raises(Problems, match=r"s3://shop-releases/ledger/prod.json") as told:
            use()
        assert "restore an earlier version: aws s3api list-object-versions" in str(told.value)
    assert store.fetch(store.ledger_key).data == LEDGERS[name]  # type: ignore[union-attr]
