"""``restore ledger``: from the versions in the release bucket, whatever happened to the newest; none is lost."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from msgspec.structs import replace

from orchestrator.emulator import start
from orchestrator.problems import Problems
from orchestrator.recovery.file_restore import ObjectVersion
from orchestrator.recovery.ledger_versions import LedgerVersion, choose_version
from orchestrator.release import Ledger, Pin, Release, Vector
from orchestrator.release.ledger_store import LedgerStore
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import Project

BEGIN = datetime(2026, 11, 29, 14, tzinfo=UTC)
BUCKET = "shop-releases"
MANIFESTS = """
apiVersion: orchestrator/v1
kind: Project
metadata: {name: shop}
spec: {repository: acme/shop, region: eu-west-1, account: "123456789012", releases: {bucket: bucket.releases}}
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: releases}
spec: {name: shop-releases, versioning: true}
"""


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    with start(settle_seconds=0) as emulator, aws_environment(emulator):
        made = Project(emulator, tmp_path, capsys)
        (made.folder / "shop.yaml").write_text(MANIFESTS)
        made.succeed("apply", "--auto-approve")
        yield made


def release(number: int) -> Release:
    return Release(number, "2026-11-29T14:05:00Z", "ana", "c0ffee", Vector("d"), "healthy")


def put(project: Project, body: bytes) -> None:
    project.clients.call("s3", "put_object", {"Bucket": BUCKET, "Key": "ledger/prod.json", "Body": body})


def test_a_broken_or_deleted_ledger_comes_back(project: Project) -> None:
    """The newest version that can be read, and any other by its moment or identifier."""
    store = LedgerStore(project.clients, BUCKET, "prod")
    first = store.write(lambda _: Ledger(releases=(release(1),)))
    pin = Pin("image:containerservice.api", "bad", 1, 2, "2026-11-29T14:05:00Z", "ana")
    second = store.write(lambda ledger: replace(ledger, releases=(*ledger.releases, release(2)), pins=(pin,)))
    put(project, b"{ broken")
    assert project.run("releases")[0] == 1

    listed = project.succeed("restore", "ledger", "--list")
    assert ["not readable" in line for line in listed.splitlines()] == [True, False, False]
    shown = project.succeed("restore", "ledger", "--plan")
    assert "releases 1 to 2" in shown
    assert "Pinned after the restore: image:containerservice.api." in shown
    assert project.run("releases")[0] == 1
    project.succeed("restore", "ledger", "--auto-approve")
    assert store.read() == second

    oldest = listed.splitlines()[-1].split()[0]
    told = project.succeed("restore", "ledger", "--version", oldest, "--auto-approve")
    assert "These releases are missing from the version to restore: 2." in told
    assert store.read() == first
    project.clients.call("s3", "delete_object", {"Bucket": BUCKET, "Key": "ledger/prod.json"})
    project.succeed("restore", "ledger", "--auto-approve")
    assert store.read() == first
    identifier = next(line.split()[0] for line in listed.splitlines() if "releases 1 to 2" in line)
    project.succeed("restore", "ledger", "--version", identifier, "--auto-approve")
    assert store.read() == second
    versions = project.succeed("restore", "ledger", "--list").splitlines()
    assert len(versions) == 8, "nothing that was replaced is gone"

    broken = next(line.split()[0] for line in versions if "not readable" in line)
    for choice, refusal in (
        (("--version", broken), "this version cannot be used: not readable"),
        (("--to", "2001-01-01 00:00"), "contains no matching earlier version"),
    ):
        exit_code, told = project.run("restore", "ledger", *choice, "--auto-approve")
        assert (exit_code, refusal in told) == (1, True), told
    assert store.read() == second


def version(identifier: str, minute: int, ledger: Ledger | None, *, is_latest: bool = False) -> LedgerVersion:
    written = ObjectVersion("ledger/prod.json", identifier, BEGIN + timedelta(minutes=minute), is_latest=is_latest)
    return LedgerVersion(written, ledger, "" if ledger else "not readable")


def test_the_version_of_a_moment_is_the_newest_before_it() -> None:
    """Never the one in use; one that cannot be read is refused, not skipped: another moment was asked for."""
    versions = (
        version("d", 3, Ledger(), is_latest=True), version("c", 2, None), version("b", 1, Ledger()),
        version("a", 0, Ledger()),
    )  # fmt: skip

    assert choose_version(versions).version.version_id == "b"
    assert choose_version(versions, moment=BEGIN + timedelta(seconds=90)).version.version_id == "b"
    assert choose_version(versions, moment=BEGIN).version.version_id == "a"
    with pytest.raises(Problems, match="cannot be used: not readable"):
        choose_version(versions, moment=BEGIN + timedelta(minutes=9))
    with pytest.raises(Problems, match="no matching earlier version"):
        choose_version(versions, identifier="d")
