"""Open a page, run a command in a container, open a prompt on the database."""

from __future__ import annotations

import json
import os
import re
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, cast

import botocore.session
import pytest
from botocore.validate import ParamValidator
from msgspec.structs import replace

from orchestrator.aws import Reader
from orchestrator.cli.main import main
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.runs import container_exec, database_console, database_tunnel
from tests.proofs import real_stack

if TYPE_CHECKING:
    from orchestrator.resources import AwsReader

TASK_ARN = "arn:aws:ecs:eu-west-1:123456789012:task/default/0f9de17a6465404e8b1b2356dc13c2f8"
pytestmark = pytest.mark.xdist_group("whole-stack")
RUNTIME_ID = "0f9de17a6465404e8b1b2356dc13c2f8-265927825"


def test_open_prints_the_address_of_each_page(
    stack: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ORCHESTRATOR_STATE_URL", "https://state.example.com/")
    printed = {}
    for page in (
        (),
        ("cdn.web",),
        ("api",),
        ("dashboard",),
        ("console",),
        ("console", "database.main"),
        ("console", "files"),
    ):
        assert main(["open", *page, "-f", str(stack)]) == 0
        printed[" ".join(page)] = capsys.readouterr().out.strip()

    assert re.fullmatch(r"https://[a-z0-9]+\.cloudfront\.net", printed[""])
    assert printed["cdn.web"] == printed[""]
    assert re.fullmatch(r"https://[a-z0-9]+\.eu-west-1\.awsapprunner\.com", printed["api"])
    assert printed["dashboard"] == "https://state.example.com/e/joiabagur/prod"
    assert printed["console"] == "https://eu-west-1.console.aws.amazon.com/console/home?region=eu-west-1"
    assert printed["console database.main"].endswith("#database:id=joiabagur-prod-main;is-cluster=false")
    assert printed["console files"].endswith("/s3/buckets/joiabagur-files-prod?region=eu-west-1")
    assert main(["open", "nothing", "-f", str(stack)]) == 1
    assert "components that have one: cdn.web, containerservice.api, containerservice.jobs" in capsys.readouterr().err


def test_app_runner_has_no_way_in_and_says_so(stack: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["exec", "api", "-f", str(stack), "--", "ls"]) == 1
    assert "App Runner, which cannot run commands in containers" in capsys.readouterr().err


class EcsReader:
    """ECS's answers to ListTasks and DescribeTasks, each checked against botocore's model of the API."""

    def __init__(self, tasks: list[dict[str, Any]], live: Reader) -> None:
        self._tasks = tasks
        self._live = live

    def get(self, service: str, operation: str, /, **parameters: Any) -> Any:
        if operation != "describe_tasks":
            return self._live.get(service, operation, **parameters)
        response = {"tasks": self._tasks}
        model = botocore.session.get_session().get_service_model("ecs").operation_model("DescribeTasks")
        assert not ParamValidator().validate(response, model.output_shape).has_errors()
        return response

    def all(self, service: str, operation: str, member: str, /, **parameters: Any) -> list[Any]:
        if operation != "list_tasks":
            return self._live.all(service, operation, member, **parameters)
        assert parameters == {"cluster": "default", "serviceName": "joiabagur-prod-jobs", "desiredStatus": "RUNNING"}
        return [task["taskArn"] for task in self._tasks]


def task(*, started_at: int, enabled: bool = True, agent: str = "RUNNING", arn: str = TASK_ARN) -> dict[str, Any]:
    agents = [{"name": "ExecuteCommandAgent", "lastStatus": agent}] if enabled else []
    container = {"name": "Main", "runtimeId": RUNTIME_ID, "managedAgents": agents}
    return {
        "taskArn": arn, "startedAt": started_at, "lastStatus": "RUNNING", "enableExecuteCommand": enabled,
        "containers": [{"name": "sidecar", "runtimeId": "other"}, container],
    }  # fmt: skip


def test_exec_enters_the_newest_task(stack: Path) -> None:
    older = task(started_at=1, arn=TASK_ARN.replace("0f9de", "aaaaa"))
    target = find(stack, [older, task(started_at=2)])
    command = container_exec.build_command(target, ("sh", "-c", "echo $HOME; ls"))

    assert (target.task_arn, target.container) == (TASK_ARN, "Main")
    assert command[:3] == ["aws", "ecs", "execute-command"]
    assert command[-2:] == ["--command", "sh -c 'echo $HOME; ls'"]
    assert target.session_target == f"ecs:default_0f9de17a6465404e8b1b2356dc13c2f8_{RUNTIME_ID}"


@pytest.mark.parametrize(
    ("tasks", "words"),
    [
        ([], "containerservice.jobs has no running task"),
        ([task(started_at=1, enabled=False)], "--enable-execute-command --force-new-deployment"),
        ([task(started_at=1, agent="STOPPED")], "the actions ssmmessages:CreateControlChannel"),
    ],
)
def test_what_exec_lacks_is_said(stack: Path, tasks: list[dict[str, Any]], words: str) -> None:
    with pytest.raises(Problems) as raised:
        find(stack, tasks)

    assert words in str(raised.value)
    assert ("joiabagur-prod-jobs" in str(raised.value)) is bool(tasks)


def find(stack: Path, tasks: list[dict[str, Any]]) -> container_exec.ExecTarget:
    desired = pipeline.load_desired(stack)
    return container_exec.find_target(
        desired, "jobs", cast("AwsReader", EcsReader(tasks, Reader(real_stack.clients())))
    )


def install(folder: Path, name: str, script: str) -> None:
    path = folder / name
    path.write_text(f"#!{sys.executable}\n{script}")
    path.chmod(0o755)


AWS_CLI = """
import json, os, pathlib, socket, sys
pathlib.Path(os.environ["SEEN"], "aws").write_text(json.dumps([sys.argv[1:], sorted(os.environ)]))
port = int(json.loads(sys.argv[-1])["localPortNumber"][0])
server = socket.create_server(("127.0.0.1", port))
while True:
    server.accept()
"""
PSQL = """
import json, os, pathlib, sys
values = {name: value for name, value in os.environ.items() if name.startswith("PG")}
pathlib.Path(os.environ["SEEN"], "psql").write_text(json.dumps([sys.argv[1:], values]))
sys.exit(7)
"""


def test_a_private_database_is_reached_through_a_container(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """With stand-ins for the AWS CLI and psql: the password is on no command line, and the session ends."""
    from orchestrator.postgresql.connection import ConnectionTarget

    install(tmp_path, "aws", AWS_CLI)
    install(tmp_path, "psql", PSQL)
    monkeypatch.setenv("PATH", f"{tmp_path}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SEEN", str(tmp_path))
    container = container_exec.ExecTarget("eu-west-1", TASK_ARN, "Main", RUNTIME_ID)
    target = ConnectionTarget("main.abc.eu-west-1.rds.amazonaws.com", "shop", "shop", "hunter2", 5432, "require")

    with ExitStack() as stack:
        route = database_tunnel.Tunnels(lambda: container, stack).reach
        assert database_console.run_psql(replace(target, route=route), can_write=False) == 7

    (aws_arguments, aws_environment), (psql_arguments, psql_environment) = (
        json.loads((tmp_path / name).read_text()) for name in ("aws", "psql")
    )
    forwarded = json.loads(aws_arguments[-1])
    assert aws_arguments[:2] == ["ssm", "start-session"]
    assert forwarded["host"] == [target.host]
    assert (psql_environment["PGHOST"], psql_environment["PGHOSTADDR"]) == (target.host, "127.0.0.1")
    assert psql_environment["PGPORT"] == forwarded["localPortNumber"][0]
    assert psql_environment["PGPASSWORD"] == "hunter2"
    assert psql_environment["PGOPTIONS"] == "-c default_transaction_read_only=on"
    assert "hunter2" not in str(aws_arguments + psql_arguments)
    assert "PGPASSWORD" not in aws_environment


def test_a_session_that_ends_is_no_reason_to_wait() -> None:
    with pytest.raises(Problems, match="ended with status 254"):
        database_tunnel.wait_for_port(1, lambda: 254, pause=lambda _: None)
