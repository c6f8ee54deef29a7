"""apply and destroy hold the release bucket's lease: nobody who writes without the state service comes between."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest

from orchestrator import wire
from orchestrator.aws import Clients
from orchestrator.emulator import Emulator, Faults
from orchestrator.release import lease
from orchestrator.release.store import Store
from tests.cli.conftest import MANIFESTS, Run

BUCKET = "shop-releases"
RELEASES = f"""---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {{name: releases}}
spec: {{name: {BUCKET}, versioning: true, deletionPolicy: delete}}
"""


@pytest.fixture
def releases(manifests: Path, aws: Emulator) -> Store:
    """The place of releases of a stack that has one."""
    text = MANIFESTS.replace('"123456789012"}', '"123456789012", releases: {bucket: bucket.releases}}')
    (manifests / "shop.yaml").write_text(text.replace("true}", "true, deletionPolicy: delete}") + RELEASES)
    return Store(Clients("eu-west-1"), BUCKET, "prod")


@pytest.fixture
def overtaken(releases: Store, by_hand: Callable[..., Any]) -> Iterator[Callable[[], None]]:
    """Whoever takes the lease next loses it at once to somebody else."""

    def takes() -> None:
        while releases.fetch(lease.key(releases)) is None:
            pass
        theirs = wire.dump(lease.Lease("bo", "deploy", "theirs", 9e9))
        by_hand("s3", "put_object", Bucket=BUCKET, Key=lease.key(releases), Body=theirs)

    thread = threading.Thread(target=takes, daemon=True)
    yield thread.start
    thread.join(5)


def test_who_writes_without_the_service_keeps_others_out(aws: Emulator, run: Run, releases: Store) -> None:
    """Nothing is done, though plans are made; and whoever ends gives the lease back."""
    assert run("apply", "--auto-approve").code == 0
    assert releases.fetch(lease.key(releases)) is None
    with lease.hold(releases, "ben", "apply"):
        aws.forget_calls()
        kept_out = [run(verb, "--auto-approve") for verb in ("apply", "destroy")]
        assert [call.name for call in aws.calls if call.access == "write"] == []
        assert run("plan").code == 0

    assert [one.code for one in kept_out] == [1, 1]
    assert all("prod is being changed by ben (apply); nothing was done" in one.err for one in kept_out)


def test_the_lease_goes_with_its_bucket(run: Run, releases: Store, monkeypatch: pytest.MonkeyPatch) -> None:
    """A destroy that deletes the bucket has not lost its turn, however often it looks."""
    monkeypatch.setattr(lease, "BEATS", 0.01)
    run("apply", "--auto-approve")
    token = run("destroy", "--auto-approve").out.split("--allow ")[1].split()[0]
    gone = run("destroy", "--auto-approve", "--allow", token)

    assert (gone.code, "failed" in gone.out) == (0, False), gone
    assert not releases.exists()


def test_a_run_that_was_overtaken_stops(
    aws: Emulator,
    run: Run,
    releases: Store,
    overtaken: Callable[[], None],
    by_hand: Callable[..., Any],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """As after a machine's sleep: it finds the lease another's, makes no further call, and leaves it to them."""
    run("apply", "--auto-approve")
    by_hand("s3", "put_bucket_versioning", Bucket="shop-files", VersioningConfiguration={"Status": "Suspended"})
    monkeypatch.setattr(lease, "LASTS", -1.0)  # each call asks, as when the time was over
    aws.faults = Faults(latency_ms=30)
    aws.forget_calls()
    overtaken()
    shown = run("apply", "--auto-approve")

    assert shown.code == 1
    assert "the lease in the release bucket is another's now: this run stops" in shown.out + shown.err
    assert "PutBucketVersioning" not in {call.operation for call in aws.calls}
    kept = releases.fetch(lease.key(releases))
    assert kept is not None
    assert wire.load(kept.data, lease.Lease).owner == "bo"
