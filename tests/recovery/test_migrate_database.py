"""``migrate database`` between two real servers; pg_dump's own text of both sides judges whether they are equal."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import psycopg
import pytest
from msgspec.structs import replace

from orchestrator.aws import AwsError, StepExecutor
from orchestrator.emulator import Emulator, start
from orchestrator.emulator.database_engine import find_binaries
from orchestrator.postgresql.comparison import compare
from orchestrator.postgresql.connection import parse_url
from orchestrator.postgresql.inventory import read_inventory
from orchestrator.problems import Problems
from orchestrator.runs.container_exec import ExecTarget
from orchestrator.runs.database_tunnel import Tunnels
from orchestrator.runs.tunnel_task import delete_old_roles
from orchestrator.steps import execute_steps
from orchestrator.vocabulary import Scope
from tests.postgresql.rich_database import fill
from tests.proofs.real_stack import aws_environment
from tests.recovery.project import SERVICE, Project
from tests.state.postgres import Cluster, run_cluster

pytestmark = [
    pytest.mark.real_parts,
    pytest.mark.xdist_group("emulator-databases"),
    pytest.mark.skipif(find_binaries() is None, reason="needs PostgreSQL's server programs"),
]


@pytest.fixture(scope="module")
def servers() -> Iterator[tuple[Emulator, Cluster]]:
    """An account whose databases are real, and the server of today's application."""
    binaries = find_binaries()
    assert binaries is not None
    with start(settle_seconds=0, run_services=True) as emulator, run_cluster(binaries) as cluster:
        yield emulator, cluster


@pytest.fixture
def project(servers: tuple[Emulator, Cluster], tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Project]:
    """The project with an empty database."""
    emulator = servers[0]
    emulator.reset()
    with aws_environment(emulator):
        made = Project(emulator, tmp_path, capsys)
        made.succeed("apply", "--auto-approve")
        yield made


@pytest.fixture
def source(servers: tuple[Emulator, Cluster]) -> str:
    """The URL of the old database, full of everything."""
    cluster = servers[1]
    url = cluster.create_database()
    fill(url)
    return url


def migrate(project: Project, source: str, *options: str) -> tuple[int, str]:
    return project.run(
        "migrate", "database", "--from", source, "--to", "main", "--ca", str(project.ca_file), "--auto-approve",
        "--work", str(project.folder.parent / "work"), *options,
    )  # fmt: skip


def dump(url: str) -> str:
    """What pg_dump writes about a database: definitions and rows, in an order that does not depend on storage."""
    command = ["pg_dump", "--no-owner", "--no-privileges", "--no-comments", "--inserts", "--rows-per-insert=1", url]
    environment = {"PATH": os.environ["PATH"]}
    text = subprocess.run(command, check=True, capture_output=True, text=True, env=environment).stdout
    lines = [
        line for line in text.splitlines() if not line.startswith(("--", "\\", "SET ", "SELECT pg_catalog.set_config"))
    ]
    return "\n".join(sorted(lines))


def test_everything_arrives_and_a_second_run_copies_nothing(project: Project, source: str, tmp_path: Path) -> None:
    """Odd names, arrays, enums, partitions, generated columns, circular keys, large objects, sequences."""
    report = tmp_path / "proof.json"

    exit_code, told = migrate(project, source, "--report", str(report))

    assert exit_code == 0, told
    assert "The collations differ, C in the source and C.UTF-8 in the target" in told
    assert dump(project.dsn()) == dump(source)
    with project.connect() as connection:
        assert connection.execute("SELECT * FROM totals").fetchone() == (365, 66795)
        connection.execute("INSERT INTO product (name) VALUES ('next')")
    proof = json.loads(report.read_text())
    assert proof["differences"] == []
    assert proof["source"]["tables"]["public.product"] == proof["target"]["tables"]["public.product"]
    project.execute("DELETE FROM product WHERE name = 'next!'")
    assert "nothing to copy" not in told

    exit_code, told = migrate(project, source)
    assert exit_code == 1  # the sequence has moved on, and the rows are nobody's migration any more
    assert "rows that no migration wrote; nothing was changed" in told


def test_a_rehearsal_changes_nothing_and_times_the_move(project: Project, source: str, tmp_path: Path) -> None:
    """Everything is copied and proved beside the database; what is left is the list of steps with its times."""
    cut_over = tmp_path / "move.md"
    before = dump(project.dsn())

    exit_code, told = migrate(project, source, "--rehearse", "--cut-over", str(cut_over))

    assert exit_code == 0, told
    assert "Verified: " in told
    assert dump(project.dsn()) == before
    with project.connect() as connection:
        names = [row[0] for row in connection.execute("SELECT datname FROM pg_database")]
        assert "shop_rehearsal" not in names
        connection.execute("CREATE DATABASE shop_rehearsal")
    text = cut_over.read_text()
    assert f"orchestrator migrate database --from {source} --to main" in text
    rows = re.findall(r"^\| (.+) \| (\d+ s) \|$", text, re.MULTILINE)
    assert [title.split()[0] for title, _ in rows] == ["copy", "copy", "build", "set", "verify"]

    exit_code, told = migrate(project, source, "--rehearse")
    assert (exit_code, "was not created by a rehearsal; nothing was changed" in told) == (1, True), told


def test_a_session_that_ended_is_opened_again(project: Project, session_log: Path) -> None:
    """Every program goes through it, and still checks the server's certificate against the server's own name."""
    direct = project.login()
    container = ExecTarget("eu-west-1", "arn:aws:ecs:eu-west-1:123456789012:task/default/0f9d", "Main", "0f9d-1")

    with ExitStack() as stack:
        reach = Tunnels(lambda: container, stack).reach
        read_inventory(replace(direct, route=reach))
        (session,) = session_log.read_text().splitlines()
        process = int(session.split()[2])
        os.kill(process, signal.SIGKILL)
        os.waitid(os.P_PID, process, os.WEXITED | os.WNOWAIT)

        read_inventory(replace(direct, route=reach))
        assert len(session_log.read_text().splitlines()) == 2
        address = reach(direct.host, direct.port)
        assert address[1] != direct.port
        with pytest.raises(Problems, match="does not match"):
            read_inventory(replace(direct, host="other.example", route=lambda host, port: address))
    with pytest.raises(Problems, match="Connection refused"):
        read_inventory(replace(direct, route=lambda host, port: address))


def test_roles_of_the_source_are_named(project: Project, source: str) -> None:
    """Privileges are not copied, and a policy for a role that the target lacks is refused at once."""
    with psycopg.connect(source, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS till; CREATE ROLE till; GRANT SELECT ON product TO till")
        assert "Owners and privileges are not copied: till." in migrate(project, source, "--check")[1]
        connection.execute("CREATE POLICY till_only ON product TO till USING (true)")
    exit_code, told = migrate(project, source)
    assert (exit_code, "the target has no role `till`" in told) == (1, True), told
    with project.connect() as connection:
        tables = connection.execute("SELECT count(*) FROM pg_tables WHERE schemaname = 'public'").fetchone()
    assert tables == (0,)


def test_without_a_service_nothing_is_reached(project: Project, source: str, session_log: Path) -> None:
    exit_code, told = migrate(project, source, "--via", "vpc")
    assert (exit_code, "no service of the project connects to database.main" in told) == (1, True), told


def test_a_private_database_of_an_app_runner_service_is_filled(
    project: Project, source: str, session_log: Path
) -> None:
    """Through a task of its own in the service's network, of which nothing remains; a killed run's role is deleted.

    What ECS Exec needs: ECS developer guide, "Monitor Amazon ECS containers with ECS Exec".
    """
    (project.folder / "api.yaml").write_text(SERVICE)
    project.succeed("apply", "--auto-approve", "--target", "database.main")
    api = project.clients

    exit_code, told = migrate(project, source, "--via", "vpc")

    assert exit_code == 0, told
    assert "about 0.02 USD an hour, which reaches shop-prod-main; it is removed at the end" in told
    assert dump(project.dsn()) == dump(source)
    (session,) = session_log.read_text().splitlines()
    task, host, _ = session.split()
    assert host == project.login().host
    assert re.fullmatch(r"ecs:default_[0-9a-f]{32}_[0-9a-f]{32}-0", task)
    arn = f"arn:aws:ecs:eu-west-1:123456789012:task/default/{task.split('_')[1]}"
    (shown,) = api.call("ecs", "describe_tasks", {"cluster": "default", "tasks": [arn]})["tasks"]
    assert (shown["lastStatus"], shown["enableExecuteCommand"]) == ("STOPPED", True)
    definition = {"taskDefinition": shown["taskDefinitionArn"]}
    with pytest.raises(AwsError):
        api.call("ecs", "describe_task_definition", definition)
    assert api.call("iam", "list_roles", {"PathPrefix": "/orchestrator-tunnel/"})["Roles"] == []
    assert "No changes" in project.succeed("plan", "--target", "database.main")


@pytest.mark.parametrize(("hours", "remaining"), [(11, ["shop-prod-tunnel-0"]), (13, [])])
def test_a_role_that_a_killed_run_left_is_deleted(project: Project, hours: int, remaining: list[str]) -> None:
    """Once its task has ended by itself; not before, because a colleague's command can use it."""
    trust = {
        "Statement": [
            {"Effect": "Allow", "Principal": {"Service": "ecs-tasks.amazonaws.com"}, "Action": "sts:AssumeRole"}
        ]
    }
    for path in ("/orchestrator-tunnel/shop/prod/", "/orchestrator-tunnel/other/prod/"):
        role = {"RoleName": f"{path.split('/')[2]}-prod-tunnel-0", "Path": path}
        project.clients.call("iam", "create_role", {**role, "AssumeRolePolicyDocument": json.dumps(trust)})
    scope = Scope("shop", "prod", "123456789012", "eu-west-1")
    now = datetime.now(UTC) + timedelta(hours=hours)

    execute_steps(delete_old_roles(project.clients, scope, now), StepExecutor(project.clients).perform)

    roles = project.clients.call("iam", "list_roles", {"PathPrefix": "/orchestrator-tunnel/"})["Roles"]
    assert sorted(role["RoleName"] for role in roles) == ["other-prod-tunnel-0", *remaining]


def test_a_copy_that_broke_off_is_continued(project: Project, source: str) -> None:
    """Only the tables that differ are copied again, also with constraints and triggers already there."""
    assert migrate(project, source)[0] == 0
    project.execute("CREATE SCHEMA orchestrator_migration")  # what a killed run leaves
    project.execute("DELETE FROM sale_2025")
    project.execute("UPDATE product SET weight = weight + 1e-12 WHERE id = 7")

    exit_code, told = migrate(project, source)

    assert exit_code == 0, told
    assert "copy the rows of 2 tables" in told
    assert dump(project.dsn()) == dump(source)


@pytest.mark.slow
@pytest.mark.parametrize(
    "phase", ["copy definitions", "copy the rows", "build indexes", "set sequences", "verify the copy"]
)
def test_a_killed_copy_is_finished_by_the_next_run(project: Project, source: str, phase: str) -> None:
    """SIGKILL as soon as a phase begins, with everything that it has started."""
    arguments = ["--from", source, "--to", "main", "--ca", str(project.ca_file), "--auto-approve", "--jobs", "2"]
    work = project.folder.parent / "work"
    command = [sys.executable, "-m", "orchestrator", "migrate", "database", *arguments, "--work", str(work)]
    process = subprocess.Popen(
        [*command, "-f", str(project.folder)], stderr=subprocess.PIPE, text=True, start_new_session=True
    )
    assert process.stderr is not None
    for line in process.stderr:
        if phase in line:
            os.killpg(process.pid, signal.SIGKILL)
            break
    process.communicate()
    assert process.returncode == -signal.SIGKILL

    exit_code, told = migrate(project, source)

    assert exit_code == 0, told
    assert dump(project.dsn()) == dump(source)


def test_what_cannot_be_copied_is_refused_before_anything_is_written(project: Project, source: str) -> None:
    """Rows of somebody else, a password on the command line, a server that does not answer."""
    project.execute("CREATE TABLE product (id int)")
    project.execute("INSERT INTO product VALUES (1)")

    for url, refusal in (
        (source, "row that no migration wrote"),
        (source.replace("app@", "app:secret-word@"), "contains a password"),
        ("mysql://app@localhost/shop", "the URL of the source database is incomplete"),
        (re.sub(r":\d+/", ":1/", source), "Connection refused"),
    ):
        exit_code, told = migrate(project, url)
        assert exit_code == 1
        assert refusal in told
        assert "secret-word" not in told
    with project.connect() as connection:
        assert connection.execute("SELECT * FROM product").fetchall() == [(1,)]


def test_a_difference_is_named(project: Project, source: str) -> None:
    """A row, a definition and a sequence that differ, by table and name; --check changes nothing."""
    assert migrate(project, source)[0] == 0
    before = read_inventory(parse_url(source))
    with psycopg.connect(source, autocommit=True) as connection:
        changes: list[Any] = [
            "UPDATE egg SET chicken = NULL", "DROP INDEX product_name_trigram",
            "SELECT nextval('product_id_seq')", "ALTER TYPE metal ADD VALUE 'brass'",
        ]  # fmt: skip
        for change in changes:
            connection.execute(change)

    found = [(item.kind, item.name) for item in compare(before, read_inventory(parse_url(source)))]

    assert found == [
        ("index", "public.product_name_trigram"),
        ("sequence", "public.product_id_seq"),
        ("table", "public.egg"),
        ("type", "public.metal"),
    ]
    assert migrate(project, source, "--check")[0] == 1
