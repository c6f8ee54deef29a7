"""The whole life of a database in one story: moved in, deployed on, lost, brought back, upgraded; nothing is lost.

Real servers, rows and log; the application's versions read and write through the connection string of their secret.
The database is one that only its network reaches: every command goes through a task of its own there.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import psycopg
import pytest

from orchestrator.emulator import start
from orchestrator.emulator.database_engine import find_binaries
from tests.emulator.account import wait_until
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import NAME, SERVICE, Project
from tests.state.postgres import run_cluster

pytestmark = [
    pytest.mark.slow,
    pytest.mark.real_parts,
    pytest.mark.xdist_group("emulator-databases"),
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]
BUCKET = """
---
apiVersion: orchestrator/v1
kind: Bucket
metadata: {name: files}
spec: {name: shop-files, versioning: true}
"""
OLD_ROWS = """
CREATE TABLE sale (id serial PRIMARY KEY, item text NOT NULL, photo text);
INSERT INTO sale (item, photo) VALUES ('ring', 'sale-photos/ring.jpg'), ('chain', 'sale-photos/chain.jpg');
"""
TARGETS = ("--target", "database.main", "--target", "secret.app", "--target", "bucket.files")
REFERENCES = "  fileReferences:\n    - {query: SELECT photo FROM sale, bucket: bucket.files, prefix: sale-photos/}\n"


@pytest.fixture
def project(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    with start(settle_seconds=0, run_services=True) as emulator, aws_environment(emulator):
        made = Project(emulator, tmp_path, capsys)
        manifest = made.folder / "shop.yaml"
        text = manifest.read_text().replace("  username: shop\n", f"  username: shop\n{REFERENCES}")
        manifest.write_text(text + BUCKET)
        (made.folder / "api.yaml").write_text(SERVICE)
        yield made


def sales(project: Project) -> list[tuple[str, str | None]]:
    with project.connect() as connection:
        return list(connection.execute("SELECT item, photo FROM sale ORDER BY id"))


def remove_kept_instance(project: Project) -> None:
    """As the restore's last lines say."""
    [name] = [name for name in project.instances() if "-before-" in name]
    request = {"DBInstanceIdentifier": name}
    project.clients.call("rds", "modify_db_instance", {**request, "DeletionProtection": False})
    project.clients.call("rds", "delete_db_instance", {**request, "FinalDBSnapshotIdentifier": f"{name}-final"})
    wait_until(project.instances, lambda instances: name not in instances)


def check_sessions(project: Project, log: str) -> None:
    """Restored instances were reached, too, and of the tasks nothing remains."""
    assert {line.split()[1].partition(".")[0] for line in log.splitlines()} > {NAME}
    assert project.clients.call("iam", "list_roles", {"PathPrefix": "/orchestrator-tunnel/"})["Roles"] == []


def test_rows_and_files_survive_everything(project: Project, tmp_path: Path, session_log: Path) -> None:
    """Each step by its command; after each the plan is empty and every row that was written is read."""
    binaries = find_binaries()
    assert binaries is not None
    reached = ("--ca", str(project.ca_file), "--via", "vpc")
    database = ("database", "main", "--auto-approve", *reached)
    uploads = tmp_path / "uploads"
    uploads.mkdir()
    for name in ("ring.jpg", "chain.jpg"):
        (uploads / name).write_bytes(b"\xff\xd8\xff" + name.encode())

    project.succeed("apply", "--auto-approve", *TARGETS)
    with run_cluster(binaries) as old_server:
        url = old_server.create_database()
        with psycopg.connect(url, autocommit=True) as connection:
            for statement in OLD_ROWS.split(";\n"):
                connection.execute(statement.encode())
        project.succeed("migrate", "database", "--from", url, "--to", *database[1:], "--work", str(tmp_path / "work"))
    exit_code, told = project.run("verify", "data", "main", *reached)
    assert (exit_code, "missing: sale-photos/chain.jpg (1 row)" in told) == (4, True), told
    project.succeed(
        "migrate", "files", "--from", str(uploads), "--to", "files", "--map", "=sale-photos/", "--auto-approve"
    )
    assert "0 missing, 0 without a row" in project.succeed("verify", "data", "main", *reached)

    project.execute("INSERT INTO sale (item) VALUES ('written by version 1')")
    rows = sales(project)
    assert [item for item, _ in rows] == ["ring", "chain", "written by version 1"]
    manifest = project.folder / "shop.yaml"
    manifest.write_text(manifest.read_text().replace("work_mem: 8192", "work_mem: 16384"))
    project.succeed("apply", "--auto-approve", *TARGETS)
    project.execute(
        "ALTER TABLE sale ADD COLUMN price numeric; UPDATE sale SET price = 1"
    )  # the migration of version 2
    assert sales(project) == rows, "version 2 reads what version 1 wrote"

    moment = project.mark_moment()
    project.execute("DROP TABLE sale")
    project.succeed("restore", *database, "--to", moment.isoformat())
    assert sales(project) == rows
    assert "No changes" in project.succeed("plan", *TARGETS)

    project.execute("CREATE TABLE hook (function regproc)")
    exit_code, told = project.run("upgrade", *database, "--to", "16", "--rehearse")
    assert (exit_code, "column public.hook.function has the type regproc" in told) == (1, True), told
    project.execute("DROP TABLE hook")
    assert "expect about the same downtime" in project.succeed("upgrade", *database, "--to", "16", "--rehearse")
    refused = project.run("upgrade", *database, "--to", "16")
    assert (refused[0], "the manifest of database.main has version 15, not 16" in refused[1]) == (1, True), refused
    manifest.write_text(manifest.read_text().replace('version: "15"', 'version: "16"'))
    told = project.succeed("upgrade", *database, "--now")
    assert "all definitions are unchanged" in told
    assert project.instances()[NAME]["EngineVersion"].startswith("16.")
    assert sales(project) == rows
    remove_kept_instance(project)  # it uses the old version's parameter group, which cannot go before it
    project.succeed("apply", "--auto-approve", *TARGETS)
    assert "No changes" in project.succeed("plan", *TARGETS)
    snapshots = project.clients.call("rds", "describe_db_snapshots", {"DBInstanceIdentifier": NAME})["DBSnapshots"]
    assert any(item["DBSnapshotIdentifier"] == f"{NAME}-before-version-16" for item in snapshots)
    assert not any("-drill-" in name for name in project.instances())
    check_sessions(project, session_log.read_text())
