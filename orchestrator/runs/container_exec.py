"""Run a command in a container that runs now.  API: ECS ListTasks, DescribeTasks; the AWS CLI opens the session.

ECS Exec needs Session Manager's plugin, which speaks with the container; the AWS CLI starts it, and so do we.
App Runner has no way into its containers.
"""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from typing import Any

from msgspec import Struct

from orchestrator import shell
from orchestrator.aws import AwsError
from orchestrator.problems import Problem, Problems
from orchestrator.resources import AwsReader
from orchestrator.runs.service_lookup import find_service, read_live
from orchestrator.vocabulary import DesiredState, Resource

CLUSTER = "default"
"""The cluster of Express services."""
AGENT = "ExecuteCommandAgent"
PROGRAMS = {
    "aws": "install the AWS CLI: https://docs.aws.amazon.com/cli/latest/userguide/getting-started-install.html",
    "session-manager-plugin": "install the Session Manager plugin for the AWS CLI: https://docs.aws.amazon.com/"
    "systems-manager/latest/userguide/session-manager-working-with-install-plugin.html",
}


class ExecTarget(Struct, frozen=True):
    """One container of a running task; ``runtime_id`` is its id at the container agent."""

    region: str
    task_arn: str
    container: str
    runtime_id: str

    @property
    def session_target(self) -> str:
        """The name by which Session Manager knows it."""
        return f"ecs:{CLUSTER}_{self.task_arn.rpartition('/')[2]}_{self.runtime_id}"


def find_target(desired: DesiredState, component: str, reader: AwsReader) -> ExecTarget:
    """Return the container of a service's newest task.

    Raises Problems if the service runs on App Runner, has no running task, or has no ECS Exec, with the commands that
    switch it on.
    """
    service = find_service(desired, component)
    if service.type == "apprunner_service":
        raise Problems.from_message(
            f"{service.component} runs on App Runner, which cannot run commands in containers",
            hint=f"read its output with `orchestrator logs {service.component}`; `runtime: ecs-express` supports ECS "
            "Exec",
        )
    live = read_live(desired, service, reader, "cannot run a command in")
    task = _newest_task(_read_tasks(reader, service))
    if task is None:
        raise Problems.from_message(
            f"{service.component} has no running task", hint=f"to see why, run `orchestrator logs {service.component}`"
        )
    container = _main_container(task)
    agents = {item.get("name"): item.get("lastStatus") for item in container.get("managedAgents") or ()}
    if not task.get("enableExecuteCommand") or agents.get(AGENT) != "RUNNING":
        raise _not_enabled(service, str(live.spec.get("task_role") or ""), desired.scope.region)
    return ExecTarget(desired.scope.region, task["taskArn"], container["name"], container.get("runtimeId", ""))


def build_command(target: ExecTarget, words: Sequence[str]) -> list[str]:
    """Return the command line of the AWS CLI that runs ``words`` in the container."""
    command = ["aws", "ecs", "execute-command", "--region", target.region, "--cluster", CLUSTER]
    command += ["--task", target.task_arn, "--container", target.container]
    return [*command, "--interactive", "--command", shlex.join(words)]


def build_forward_command(target: ExecTarget, host: str, port: int, local_port: int) -> list[str]:
    """Return the command line of the AWS CLI that forwards a local port to a host which the container reaches."""
    parameters = f'{{"host":["{host}"],"portNumber":["{port}"],"localPortNumber":["{local_port}"]}}'
    command = ["aws", "ssm", "start-session", "--region", target.region, "--target", target.session_target]
    return [*command, "--document-name", "AWS-StartPortForwardingSessionToRemoteHost", "--parameters", parameters]


def require_programs() -> None:
    """Raise Problems if this machine lacks the AWS CLI or its plugin."""
    missing = [
        Problem(f"{name} is not installed", hint=hint) for name, hint in PROGRAMS.items() if not shell.which(name)
    ]
    if missing:
        raise Problems(missing)


def _read_tasks(reader: AwsReader, service: Resource) -> list[Mapping[str, Any]]:
    """Return the running tasks.  Raises Problems if ECS refuses."""
    try:
        arns = reader.all(
            "ecs", "list_tasks", "taskArns", cluster=CLUSTER, serviceName=service.physical, desiredStatus="RUNNING"
        )
        response = reader.get("ecs", "describe_tasks", cluster=CLUSTER, tasks=arns[:100]) if arns else {}
    except AwsError as error:
        raise Problems.from_message(f"cannot read the tasks of {service.component}: {error}") from None
    return [task for task in response.get("tasks", ()) if task.get("lastStatus") == "RUNNING"]


def _newest_task(tasks: list[Mapping[str, Any]]) -> Mapping[str, Any] | None:
    return max(tasks, key=lambda task: str(task.get("startedAt", "")), default=None)


def _main_container(task: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the container of the application, which Express calls Main; ECS adds others."""
    containers: list[Mapping[str, Any]] = task["containers"]
    return next((item for item in containers if item["name"].lower() == "main"), containers[0])


def _not_enabled(service: Resource, task_role_arn: str, region: str) -> Problems:
    role = task_role_arn.rpartition("/")[2] or "TASK_ROLE"
    actions = "CreateControlChannel, CreateDataChannel, OpenControlChannel and OpenDataChannel"
    update = f"aws ecs update-service --region {region} --cluster {CLUSTER} --service {service.physical}"
    return Problems.from_message(
        f"ECS Exec is not running in {service.component}: it must be enabled before a task starts",
        hint=f"1. allow the role {role} to use the actions ssmmessages:{actions}; "
        f"2. run `{update} --enable-execute-command --force-new-deployment`; 3. run this command again after the "
        "deployment",
    )
