"""``restore database`` with real rows and a real log: exactly the rows of a moment come back, at the same endpoint."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestrator.emulator import Emulator, start
from orchestrator.emulator.database_engine import find_binaries
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import NAME, Project

pytestmark = [
    pytest.mark.real_parts,
    pytest.mark.xdist_group("emulator-databases"),
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]


@pytest.fixture(scope="module")
def emulator() -> Iterator[Emulator]:
    with start(settle_seconds=0, run_services=True) as running:
        yield running


@pytest.fixture(autouse=True)
def environment(emulator: Emulator) -> Iterator[None]:
    with aws_environment(emulator):
        yield


@pytest.fixture
def project(emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    """The project, deployed, in an account that holds nothing else."""
    emulator.reset()
    made = Project(emulator, tmp_path, capsys)
    made.succeed("apply", "--auto-approve")
    return made


def test_a_dropped_table_comes_back(project: Project) -> None:
    """To the moment before; nothing is deleted, the plan is empty afterwards, and undo goes back."""
    project.write("first", "second")
    moment = project.mark_moment()
    project.write("third")
    project.execute("DROP TABLE notes")
    before = project.instances()[NAME]
    time_text = f"{moment:%Y-%m-%d %H:%M:%S}"

    shown = project.succeed("restore", "database", "main", "--to", time_text, "--plan")
    assert set(project.instances()) == {NAME}
    assert "is kept under another name" in shown
    assert "USD a month" in shown

    told = project.succeed(
        "restore", "database", "main", "--to", time_text, "--ca", str(project.ca_file), "--auto-approve"
    )

    assert project.rows() == ["first", "second"]
    assert "public.notes: restored with 2 rows" in told
    assert "--undo" in told
    restored, kept = project.instances()[NAME], next(name for name in project.instances() if "-before-" in name)
    assert restored["DbiResourceId"] != before["DbiResourceId"]
    assert project.instances()[kept]["DbiResourceId"] == before["DbiResourceId"]
    for member in ("Endpoint", "DBSubnetGroup", "DeletionProtection", "BackupRetentionPeriod", "PreferredBackupWindow",
                   "PreferredMaintenanceWindow", "PerformanceInsightsEnabled", "PubliclyAccessible"):  # fmt: skip
        assert restored[member] == before[member], member
    groups = [item["DBParameterGroups"][0]["DBParameterGroupName"] for item in (restored, before)]
    assert groups == [f"{NAME}-postgres15"] * 2
    assert "No changes" in project.succeed("plan")
    assert "No changes" in project.succeed(
        "restore", "database", "main", "--to", time_text, "--ca", str(project.ca_file), "--auto-approve"
    )

    project.succeed("restore", "database", "main", "--undo", "--ca", str(project.ca_file), "--auto-approve")

    assert project.instances()[NAME]["DbiResourceId"] == before["DbiResourceId"]
    with pytest.raises(psycopg.errors.UndefinedTable):
        project.rows()
    assert "No changes" in project.succeed("plan")


def test_an_instance_that_is_gone_comes_back(project: Project) -> None:
    """Under its own name, from the backup that its deletion left, or from the final snapshot."""
    project.write("kept")
    moment = project.mark_moment()
    call = project.clients.call
    call("rds", "modify_db_instance", {"DBInstanceIdentifier": NAME, "DeletionProtection": False})
    call(
        "rds",
        "delete_db_instance",
        {"DBInstanceIdentifier": NAME, "FinalDBSnapshotIdentifier": "last", "DeleteAutomatedBackups": False},
    )
    while project.instances():
        pass

    project.succeed(
        "restore", "database", "main", "--to", moment.isoformat(), "--ca", str(project.ca_file), "--auto-approve"
    )

    assert project.rows() == ["kept"]
    assert "No changes" in project.succeed("plan")
    assert project.instances()[NAME]["DeletionProtection"] is True


@pytest.mark.parametrize(
    ("choice", "refusal"),
    [
        (["--to", "2001-01-01 00:00"], "outside the period that RDS can restore"),
        (["--to", "yesterday"], "is not a valid time"),
        (["--snapshot", "none"], "has no available snapshot `none`"),
        (["--undo"], "no replaced instance exists"),
        ([], "choose one of --to, --snapshot, --latest and --undo"),
        (["--latest", "--undo"], "choose one of"),
    ],
)
def test_what_cannot_be_restored_is_refused(
    emulator: Emulator, shared: Project, choice: list[str], refusal: str
) -> None:
    """With what can be, before anything is made."""
    exit_code, told = shared.run("restore", "database", "main", *choice, "--auto-approve")

    assert exit_code == 1
    assert refusal in told
    assert set(shared.instances()) == {NAME}


@pytest.fixture
def shared(emulator: Emulator, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Project:
    """The project, deployed if the account has it not."""
    made = Project(emulator, tmp_path, capsys)
    if set(made.instances()) != {NAME} or "-before-" in str(made.instances()):
        emulator.reset()
        made.succeed("apply", "--auto-approve")
    return made
