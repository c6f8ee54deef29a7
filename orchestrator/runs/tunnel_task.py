"""Run a Fargate task in the network of a project's service, through which this machine reaches a private database.

API: IAM CreateRole, PutRolePolicy, ListRoles, DeleteRole; ECS CreateCluster, RegisterTaskDefinition, RunTask,
DescribeTasks, StopTask, DeregisterTaskDefinition, DeleteTaskDefinitions.  Sources: ECS developer guide, "Monitor Amazon
ECS containers with ECS Exec" (permissions of the task role, managed agents), and "Task definition parameters" (an image
of a public registry needs no execution role).

The task, its definition and its role are removed at the end.  Those of a killed run end by themselves: the task's only
command is a sleep of ``MAX_SECONDS``, and each run deletes roles of its own path that are older than that.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import TYPE_CHECKING, Any

from orchestrator.aws.step_executor import StepExecutor, StepFailedError, WaitTimeoutError
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.problems import Problems
from orchestrator.resources import iam_role
from orchestrator.resources.migration.fargate_task import CLUSTER_NAME, TIDY_CODES, prepare_cluster
from orchestrator.runs.container_exec import AGENT, ExecTarget
from orchestrator.steps import ApiCall, Steps, Wait, call, execute_steps
from orchestrator.values import Ref
from orchestrator.vocabulary import DesiredState, LiveResource, Resource, Scope

if TYPE_CHECKING:
    from collections.abc import Callable

    from orchestrator.aws import Clients

IMAGE = "public.ecr.aws/amazonlinux/amazonlinux:2023-minimal"
CONTAINER = "tunnel"
MAX_SECONDS = 12 * 3600
START_TIMEOUT_SECONDS = 300.0
NETWORK_ADDRESS = "ec2_vpc.network"
CPU_UNITS, MEMORY_MIB = "256", "512"
DESCRIPTION = "a Fargate task with 0.25 vCPU, about 0.02 USD an hour"
SESSION_ACTIONS = (
    "ssmmessages:CreateControlChannel",
    "ssmmessages:CreateDataChannel",
    "ssmmessages:OpenControlChannel",
    "ssmmessages:OpenDataChannel",
)
"""What the agent in the container needs; none of them supports a resource (Service Authorization Reference)."""


@contextmanager
def run_tunnel_task(
    desired: DesiredState, database: Resource, clients: Clients, report: Callable[[str], None]
) -> Iterator[ExecTarget]:
    """Yield a container that reaches ``database``, for the length of a ``with`` block.

    ``report`` gets what is started, and what could not be removed.  Raises Problems if no service connects to the
    database, the network has no subnet with a route to the internet, or AWS refuses.
    """
    group = find_client_group(desired, database)
    network, group_id = _read_network(desired, group, clients)
    name = f"{desired.scope.name_prefix}-tunnel-{secrets.token_hex(4)}"
    executor = StepExecutor(clients)
    report(f"Starting {DESCRIPTION}, which reaches {database.physical}; it is removed at the end.")
    created: dict[str, str] = {}
    try:
        try:
            execute_steps(delete_old_roles(clients, desired.scope, datetime.now(UTC)), executor.perform)
            steps = _start(name, desired, database.component, (network, group_id), created)
            container = execute_steps(steps, executor.perform)
        except (StepFailedError, WaitTimeoutError) as error:
            raise Problems.from_message(f"the task that reaches {database.physical} did not start: {error}") from None
        yield ExecTarget(desired.scope.region, created["task"], CONTAINER, str(container["runtime_id"]))
    finally:
        _remove(name, desired.scope, created, executor, report)


def find_client_group(desired: DesiredState, database: Resource) -> str:
    """Return the address of a security group that the database lets in.  Raises Problems if there is none."""
    groups = [item for item in desired.resources if item.type == "ec2_security_group"]
    for group in groups:
        if group.component == database.component:
            sources = [rule.get("source") for rule in group.spec["ingress"] if isinstance(rule, Mapping)]
            for source in sources:
                if isinstance(source, Ref) and source.address.startswith("ec2_security_group."):
                    return source.address
    raise Problems.from_message(
        f"no service of the project connects to {database.component}, so no security group has access to it",
        hint=f"add `access: [{database.component}]` to a ContainerService and apply",
    )


def _read_network(desired: DesiredState, group: str, clients: Clients) -> tuple[list[str], str]:
    """Return the subnets with a route to the internet, and the id of the security group.  Raises Problems."""
    from orchestrator.planning import pipeline

    planned = pipeline.plan(desired, targets=(group,), clients=clients)
    network, live_group = planned.live.get(NETWORK_ADDRESS), planned.live.get(group)
    if live_group is None or network is None:
        raise Problems.from_message(f"{group} does not exist yet", hint="apply the manifests first")
    subnets = network.outputs.get("public_subnets")
    if not isinstance(subnets, list) or not subnets:
        raise Problems.from_message(
            "the network has no subnet with a route to the internet, which the task needs to reach Session Manager",
            hint="run the command on a machine in the VPC",
        )
    return subnets, str(live_group.outputs["id"])


def _start(
    name: str,
    desired: DesiredState,
    component: str,
    place: tuple[list[str], str],
    created: dict[str, str],
) -> Steps:
    """Start the task and wait for its agent; record in ``created`` what has to be removed."""
    tags = build_ownership_tags(desired.scope, component, deletable=True)
    created["role"] = name
    role = yield from iam_role.create(desired.scope, name, _build_role(desired, tags))
    yield from prepare_cluster()
    registered = yield ApiCall("ecs", "register_task_definition", _build_definition(name, role["arn"], tags))
    created["definition"] = registered["taskDefinition"]["taskDefinitionArn"]
    subnets, group_id = place
    request = {
        "cluster": CLUSTER_NAME,
        "taskDefinition": created["definition"],
        "launchType": "FARGATE",
        "count": 1,
        "enableExecuteCommand": True,
        "networkConfiguration": {
            "awsvpcConfiguration": {"subnets": subnets, "securityGroups": [group_id], "assignPublicIp": "ENABLED"}
        },
        "startedBy": name,
        "clientToken": name,
        "tags": [{"key": key, "value": value} for key, value in sorted(tags.items())],
    }
    response = yield ApiCall("ecs", "run_task", request)
    created["task"] = _require_task(response)
    describe = call("ecs", "describe_tasks", cluster=CLUSTER_NAME, tasks=[created["task"]])
    yield Wait(
        describe,
        f"tasks[0].containers[0].managedAgents[?name=='{AGENT}'].lastStatus | [0]",
        ("RUNNING",),
        timeout_seconds=START_TIMEOUT_SECONDS,
        stuck_hint="Check the task in the ECS console.",
        description="the agent of the task",
        failure_call=describe,
        failure_path="tasks[0].stoppedReason",
    )
    described = yield describe
    return {"runtime_id": described["tasks"][0]["containers"][0].get("runtimeId", "")}


def _build_role(desired: DesiredState, tags: Mapping[str, str]) -> dict[str, Any]:
    """Return the role of the task: Session Manager's channels, and nothing else."""
    trust = {
        "Effect": "Allow",
        "Principal": {"Service": "ecs-tasks.amazonaws.com"},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEqualsIfExists": {"aws:SourceAccount": desired.scope.account}},
    }
    policy = {"Effect": "Allow", "Action": list(SESSION_ACTIONS), "Resource": ["*"]}
    project = next(item for item in desired.components if item.kind == "Project")
    boundary = desired.scope.permissions_boundary_arn if project.spec.get("permissionsBoundary") else None
    return {
        "path": _role_path(desired.scope),
        "trust": {"Version": "2012-10-17", "Statement": [trust]},
        "policy": {"Version": "2012-10-17", "Statement": [policy]},
        "tags": tags,
        **({"boundary": boundary} if boundary else {}),
    }


def _build_definition(name: str, role_arn: Any, tags: Mapping[str, str]) -> dict[str, Any]:
    container = {"name": CONTAINER, "image": IMAGE, "essential": True, "command": ["sleep", str(MAX_SECONDS)]}
    return {
        "family": name,
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": CPU_UNITS,
        "memory": MEMORY_MIB,
        "taskRoleArn": role_arn,
        "containerDefinitions": [container],
        "tags": [{"key": key, "value": value} for key, value in sorted(tags.items())],
    }


def _require_task(response: Mapping[str, Any]) -> str:
    for task in response.get("tasks", ()):
        return str(task["taskArn"])
    failures = [f"{item.get('reason')} {item.get('detail') or ''}".strip() for item in response.get("failures", ())]
    raise StepFailedError(f"ECS started no task: {'; '.join(failures) or 'no reason was given'}")


def _remove(
    name: str, scope: Scope, created: Mapping[str, str], executor: StepExecutor, report: Callable[[str], None]
) -> None:
    """Remove what was created; what cannot be removed is told, because it ends by itself."""
    try:
        execute_steps(_stop(name, scope, created), executor.perform)
    except (StepFailedError, WaitTimeoutError) as error:
        report(
            f"The task {name} could not be removed: {error}. It ends automatically after {MAX_SECONDS // 3600} hours, "
            "and the next command of this kind removes its role."
        )


def _stop(name: str, scope: Scope, created: Mapping[str, str]) -> Steps:
    if "task" in created:
        request = {"cluster": CLUSTER_NAME, "task": created["task"], "reason": "the command has ended"}
        yield ApiCall("ecs", "stop_task", request, ok_codes=TIDY_CODES)
    if "definition" in created:
        definition = created["definition"]
        yield ApiCall("ecs", "deregister_task_definition", {"taskDefinition": definition}, ok_codes=TIDY_CODES)
        yield ApiCall("ecs", "delete_task_definitions", {"taskDefinitions": [definition]}, ok_codes=TIDY_CODES)
    if "role" in created:
        yield from iam_role.delete(scope, name, LiveResource({}))
    return {}


def delete_old_roles(clients: Clients, scope: Scope, now: datetime) -> Steps:
    """Delete the roles of killed runs whose tasks have ended by ``now``."""
    from orchestrator.aws import Reader

    oldest = now - timedelta(seconds=MAX_SECONDS)
    for role in Reader(clients).all("iam", "list_roles", "Roles", PathPrefix=_role_path(scope)):
        if role["CreateDate"] < oldest:
            yield from iam_role.delete(scope, role["RoleName"], LiveResource({}))
    return {}


def _role_path(scope: Scope) -> str:
    """Return a path beside the environment's own: plans do not look there, so they do not remove a role in use."""
    return f"/orchestrator-tunnel/{scope.project}/{scope.environment}/"
