"""``upgrade database`` without a server: what is refused, and when nothing is sent.

Source: RDS User Guide, "How to perform a major version upgrade for RDS for PostgreSQL".
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from orchestrator.emulator import start
from orchestrator.postgresql.upgrade_checks import UpgradeFindings, check_target, judge
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import NAME, Project


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    with start(settle_seconds=0) as emulator, aws_environment(emulator):
        made = Project(emulator, tmp_path, capsys)
        made.succeed("apply", "--auto-approve")
        yield made


def set_version(project: Project, version: str) -> None:
    manifest = project.folder / "shop.yaml"
    manifest.write_text(manifest.read_text().replace('version: "15"', f'version: "{version}"'))


def snapshots(project: Project) -> list[str]:
    request = {"DBInstanceIdentifier": NAME, "SnapshotType": "manual"}
    found = project.clients.call("rds", "describe_db_snapshots", request)["DBSnapshots"]
    return [item["DBSnapshotIdentifier"] for item in found]


def test_an_upgrade_waits_for_the_window_or_comes_now(project: Project) -> None:
    """One snapshot each time that something is sent; the manifest decides the version, and later changes wait again."""
    command = ("upgrade", "database", "main", "--no-verify", "--auto-approve")
    assert "runs PostgreSQL 15" in project.succeed(*command)
    set_version(project, "16")

    shown = project.succeed(*command, "--plan")
    assert "restore database main --snapshot shop-prod-main-before-version-16" in shown
    assert snapshots(project) == []
    told = project.succeed(*command)
    assert "RDS upgrades in the maintenance window" in told
    assert project.instances()[NAME]["PendingModifiedValues"]["EngineVersion"].startswith("16.")
    assert snapshots(project) == [f"{NAME}-before-version-16"]
    assert "waits for the maintenance window" in project.succeed(*command)
    assert len(snapshots(project)) == 1

    told = project.succeed(*command, "--now")
    instance = project.instances()[NAME]
    assert instance["EngineVersion"].startswith("16.")
    assert instance["DBParameterGroups"][0]["DBParameterGroupName"] == f"{NAME}-postgres16"
    assert project.tags(NAME)["orchestrator:apply"] == "maintenance-window"
    assert snapshots(project) == [f"{NAME}-before-version-16", f"{NAME}-before-version-16-2"]
    project.succeed("apply", "--auto-approve")
    assert "No changes" in project.succeed("plan")

    go_back(project)


def go_back(project: Project) -> None:
    """As the page on upgrades says: the old version in the manifest, then the snapshot that the upgrade has named."""
    manifest = project.folder / "shop.yaml"
    manifest.write_text(manifest.read_text().replace('version: "16"', 'version: "15"'))
    exit_code, told = project.run("apply", "--auto-approve")
    assert (exit_code, "RDS cannot go back from version 16" in told) == (3, True), told
    snapshot = f"{NAME}-before-version-16"
    project.succeed("restore", "database", "main", "--snapshot", snapshot, "--no-verify", "--auto-approve")

    instance = project.instances()[NAME]
    assert instance["EngineVersion"].startswith("15.")
    assert instance["DBParameterGroups"][0]["DBParameterGroupName"] == f"{NAME}-postgres15"
    assert "No changes" in project.succeed("plan")


def test_what_rds_would_refuse_is_refused_before_anything_is_sent(project: Project) -> None:
    """A version that it does not offer, one that the manifest does not have, an instance that is not available."""
    command = ("upgrade", "database", "main", "--no-verify", "--auto-approve")
    assert "the manifest of database.main has version 15, not 17" in project.run(*command, "--to", "17")[1]
    assert "requires --to VERSION" in project.run(*command, "--rehearse")[1]
    set_version(project, "17")
    project.clients.call("rds", "stop_db_instance", {"DBInstanceIdentifier": NAME})

    exit_code, told = project.run(*command)

    assert (exit_code, f"{NAME} is stopped" in told) == (1, True), told
    assert snapshots(project) == []


def test_every_obstacle_is_named_with_its_remedy() -> None:
    """Columns of types that pg_upgrade cannot carry over, open transactions, logical slots, versions out of reach."""
    findings = UpgradeFindings((("public.a.b", "regproc"),), ("tx-1",), ("debezium",), {"pg_trgm": "1.6"})
    versions = [
        {"EngineVersion": "15.14", "ValidUpgradeTarget": [{"EngineVersion": "16.10"}, {"EngineVersion": "17.6"}]}
    ]

    obstacles = [(problem.message, problem.hint or "") for problem in judge(findings)]

    assert [message for message, _ in obstacles] == [
        "column public.a.b has the type regproc", "the prepared transaction tx-1 is open",
        "the logical replication slot debezium exists",
    ]  # fmt: skip
    assert all(hint for _, hint in obstacles)
    assert list(judge(UpgradeFindings())) == []
    assert list(check_target(versions, "15.14", "17")) == []
    assert [(item.message, item.hint) for item in check_target(versions, "15.14", "18")] == [
        ("RDS cannot upgrade PostgreSQL 15.14 to 18", "possible versions: 16, 17")
    ]
    assert list(check_target([], "15.14", "17")) != []
