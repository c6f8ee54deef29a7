"""apply and destroy hold the release bucket's lease: nobody who writes without the state service comes between."""

from __future__ import annotations

import threading
from pathlib import Path
from typing import Any

import pytest

from orchestrator.aws import Clients
from orchestrator.emulator import Emulator
from orchestrator.problems import Problems
from orchestrator.release import bucket_lease
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.runs import lock
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import Scope
from tests.cli.conftest import MANIFESTS, Run
from tests.release.aged_clients import AgedClients

BUCKET = "shop-releases"
PLACE: dict[str, Any] = {"Bucket": BUCKET, "CreateBucketConfiguration": {"LocationConstraint": "eu-west-1"}}
SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
RELEASES = f"""---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: releases}}
spec: {{name: {BUCKET}, versioning: true, deletionPolicy: delete}}
"""


@pytest.fixture
def releases(manifests: Path, aws: Emulator) -> LedgerStore:
    """The place of releases of a stack that has one."""
    text = MANIFESTS.replace('"123456789012"}', '"123456789012", releases: {bucket: bucket.releases}}')
    (manifests / "shop.yaml").write_text(text.replace("true}", "true, deletionPolicy: delete}") + RELEASES)
    return LedgerStore(Clients("eu-west-1"), BUCKET, "prod")


def test_who_writes_without_the_service_keeps_others_out(aws: Emulator, run: Run, releases: LedgerStore) -> None:
    """Nothing is done, though plans are made; and whoever ends gives the lease back."""
    assert run("apply", "--auto-approve").code == 0
    assert releases.fetch(bucket_lease.lease_key(releases)) is None
    with bucket_lease.acquire(releases, "ben", "apply"):
        aws.clear_calls()
        kept_out = [run(verb, "--auto-approve") for verb in ("apply", "destroy")]
        assert [call.name for call in aws.calls if call.access == "write"] == []
        assert run("plan").code == 0

    assert [one.code for one in kept_out] == [1, 1]
    assert all("prod is locked by ben (apply); nothing was changed" in one.err for one in kept_out)


def test_whoever_waits_comes_next(aws: Emulator, releases: LedgerStore, capsys: pytest.CaptureFixture[str]) -> None:
    """It says once for whom, and goes on when they have ended."""
    clients = Clients("eu-west-1")
    clients.call("s3", "create_bucket", PLACE)
    held = bucket_lease.acquire(releases, "ben", "rollback")
    held.__enter__()
    ends = threading.Timer(0.3, held.__exit__, (None, None, None))
    ends.start()
    with lock.write_lock(Settings(), SCOPE, "apply", RunOptions(wait_seconds=30.0), clients, releases) as turn:
        turn.clients.call("s3", "list_buckets", {})
    ends.join()

    waiting = "Waiting for the lock in the release bucket: prod is locked by ben (rollback)."
    assert capsys.readouterr().err.splitlines() == [waiting]
    assert releases.fetch(bucket_lease.lease_key(releases)) is None


def test_the_lease_goes_with_its_bucket(run: Run, releases: LedgerStore) -> None:
    """A destroy that deletes the bucket ends well, though there is nothing to give back any more."""
    run("apply", "--auto-approve")
    token = run("destroy", "--auto-approve").out.split("--allow ")[1].split()[0]
    gone = run("destroy", "--auto-approve", "--allow", token)

    assert (gone.code, "failed" in gone.out) == (0, False), gone
    assert not releases.exists()


def test_a_run_that_was_overtaken_makes_no_further_call(aws: Emulator, releases: LedgerStore) -> None:
    """As after a machine's sleep: it asks before its next call, finds the lease another's, and leaves it to them."""
    clients, now, s3_time = Clients("eu-west-1"), [1e9], AgedClients()
    clients.call("s3", "create_bucket", PLACE)
    with lock.write_lock(Settings(), SCOPE, "apply", RunOptions(), clients, releases, clock=lambda: now[0]) as turn:
        now[0] += 1000
        turn.clients.call("s3", "list_buckets", {})
        now[0] += 1000
        s3_time.advance(bucket_lease.LEASE_TTL_SECONDS)
        with bucket_lease.acquire(releases.with_caller(s3_time), "bo", "deploy"):
            aws.clear_calls()
            with pytest.raises(Problems, match="another run has taken over the lock in the release bucket"):
                turn.clients.call("s3", "list_buckets", {})
            assert "ListBuckets" not in {call.operation for call in aws.calls}
