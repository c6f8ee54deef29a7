"""Emulate ECS's standalone tasks on Fargate: RunTask, StopTask, ListTasks, DescribeTasks.

As AWS's API reference says: a client token starts one task per cluster for 24 hours, but no longer than an hour after
the task stopped; with other parameters it is a conflict. A stopped task is shown for an hour. A task that cannot be
started (image, secret, log group) stops without an exit code, one whose essential container ends stops with it.
A task with ECS Exec needs a task role and lists the agent of its container (ECS developer guide, "ECS Exec").  Images
of public registries are out of reach here: such a task idles until it is stopped.
"""

from __future__ import annotations

import time
import uuid
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, TaskRun, Workload
from orchestrator.emulator.services.account_checks import can_assume_role, is_failing_image
from orchestrator.emulator.services.express.configuration import client_error, invalid_parameter
from orchestrator.emulator.services.express.deployments import parse_cluster_name
from orchestrator.emulator.services.express.services_and_tags import ExpressListing
from orchestrator.emulator.services.pagination import paginate

TASKS_PRINCIPAL = "ecs-tasks.amazonaws.com"
STOPPED_TASK_SECONDS = 3600.0
"""How long a stopped task is shown, and its client token kept."""
PUBLIC_REGISTRIES = ("public.ecr.aws/",)
_PAGE_SIZE = 100
_STARTING_STATUSES = ("PROVISIONING", "PENDING")
_OWN_REASONS = {"EssentialContainerExited": "Essential container in task exited"}


@dataclass(eq=False)
class StandaloneTask:
    """One task.  ``exit_code`` is its container's, None if that never ran."""

    arn: str
    cluster: str
    request: Params
    definition: Params
    settle_seconds: float
    created_at: datetime = field(default_factory=lambda: datetime.now(UTC))
    created_clock: float = field(default_factory=time.monotonic)
    run: TaskRun | None = None
    started_at: datetime | None = None
    stopped_at: datetime | None = None
    stopped_clock: float | None = None
    stop_code: str = ""
    stopped_reason: str = ""
    exit_code: int | None = None

    @property
    def status(self) -> str:
        """Return ``lastStatus``."""
        if self.stopped_at is not None:
            return "STOPPED"
        elapsed = time.monotonic() - self.created_clock
        if self.started_at is None:
            return _STARTING_STATUSES[elapsed > self.settle_seconds / 4]
        return "RUNNING"

    @property
    def has_exec(self) -> bool:
        """Return whether ECS Exec is enabled."""
        return bool(self.request.get("enableExecuteCommand"))

    @property
    def is_forgotten(self) -> bool:
        """Return whether ECS no longer shows the task."""
        return self.stopped_clock is not None and time.monotonic() - self.stopped_clock > STOPPED_TASK_SECONDS

    def finish(self, code: str, reason: str = "", exit_code: int | None = None) -> None:
        """Stop."""
        self.stopped_at, self.stopped_clock = datetime.now(UTC), time.monotonic()
        self.stop_code, self.stopped_reason, self.exit_code = code, reason or _OWN_REASONS.get(code, ""), exit_code

    def _agents(self) -> list[Params]:
        if not self.has_exec:
            return []
        is_running = self.status == "RUNNING"
        return [{"name": "ExecuteCommandAgent", "lastStatus": "RUNNING" if is_running else "PENDING"}]

    def shape(self) -> Params:
        """Return the Task shape."""
        container = self.definition["containerDefinitions"][0]
        times = {"createdAt": self.created_at, "startedAt": self.started_at, "stoppedAt": self.stopped_at}
        stopped = {"stopCode": self.stop_code or None, "stoppedReason": self.stopped_reason or None}
        container_shape = {
            "name": container["name"],
            "taskArn": self.arn,
            "image": container["image"],
            "lastStatus": self.status,
            "exitCode": self.exit_code,
            "runtimeId": f"{self.arn.rpartition('/')[2]}-0" if self.started_at else None,
            "managedAgents": self._agents() or None,
        }
        return {
            "taskArn": self.arn,
            "clusterArn": f"{self.arn.partition(':task/')[0]}:cluster/{self.cluster}",
            "taskDefinitionArn": self.definition["taskDefinitionArn"],
            "lastStatus": self.status,
            "desiredStatus": "STOPPED" if self.stopped_at else "RUNNING",
            "launchType": "FARGATE",
            "enableExecuteCommand": self.has_exec,
            "cpu": self.definition.get("cpu"),
            "memory": self.definition.get("memory"),
            "group": f"family:{self.definition['family']}",
            "startedBy": self.request.get("startedBy"),
            "tags": self.request.get("tags", []),
            "containers": [{key: value for key, value in container_shape.items() if value is not None}],
            **{key: value for key, value in {**times, **stopped}.items() if value is not None},
        }


class StandaloneTasks(ExpressListing):
    """Tasks that RunTask starts; those of the backend are beside them."""

    def __init__(self, state: Any) -> None:
        super().__init__(state)
        self._tasks: dict[str, StandaloneTask] = {}

    def run_task(self, params: Params, context: CallContext) -> Params:
        """Start a task on Fargate, or return the one that the client token started."""
        cluster = parse_cluster_name(params.get("cluster"))
        self._require_cluster(cluster, context.region)
        if params.get("launchType") != "FARGATE":
            return context.forward(params)
        repeated = self._find_by_token(cluster, params)
        if repeated is not None:
            return {"tasks": [repeated.shape()], "failures": []}
        definition = self._definition(params["taskDefinition"], context.region)
        self._check_request(params, definition)
        arn = f"arn:aws:ecs:{context.region}:{context.account}:task/{cluster}/{uuid.uuid4().hex}"
        task = StandaloneTask(arn, cluster, params, definition, self.state.settle_seconds("ecs"))
        self._tasks[arn] = task
        shape = task.shape()
        self._start(task, context.region)
        return {"tasks": [shape], "failures": []}

    def stop_task(self, params: Params, context: CallContext) -> Params:
        """Stop a task; one that has stopped stays as it is."""
        task = self._find_task(params["task"], parse_cluster_name(params.get("cluster")), context)
        if task is None:
            raise invalid_parameter("The referenced task was not found.")
        self._advance(task)
        if task.stopped_at is None:
            if task.run is not None:
                task.run.stop()
            task.finish("UserInitiated", params.get("reason", "Task stopped by user"), 143 if task.started_at else None)
        return {"task": task.shape()}

    def list_tasks(self, params: Params, context: CallContext) -> Params:
        """List tasks by family, mark and desired status, RUNNING unless asked for others."""
        cluster = parse_cluster_name(params.get("cluster"))
        self._require_cluster(cluster, context.region)
        if "startedBy" in params and {"family", "serviceName"} & params.keys():
            raise invalid_parameter("startedBy must be the only filter.")
        desired = params.get("desiredStatus", "RUNNING")
        shapes = [task.shape() for task in self._list_visible(cluster, context.region)]
        arns = [
            shape["taskArn"]
            for shape in shapes
            if shape["desiredStatus"] == desired
            and params.get("family", shape["group"][7:]) == shape["group"][7:]
            and params.get("startedBy", shape["startedBy"]) == shape["startedBy"]
            and "serviceName" not in params
        ]
        arns += context.forward({**params, "desiredStatus": desired}).get("taskArns", [])
        size, token = params.get("maxResults", _PAGE_SIZE), params.get("nextToken")
        items, next_token = paginate(arns, size, token, "InvalidParameterException")
        return {"taskArns": items, "nextToken": next_token}

    def describe_tasks(self, params: Params, context: CallContext) -> Params:
        """Describe tasks by ARN or id; report missing ones as failures."""
        cluster = parse_cluster_name(params.get("cluster"))
        self._require_cluster(cluster, context.region)
        if not params["tasks"]:
            raise invalid_parameter("Tasks cannot be empty.")
        tasks = {name: self._find_task(name, cluster, context) for name in params["tasks"]}
        for task in filter(None, tasks.values()):
            self._advance(task)
        others = [name for name, task in tasks.items() if task is None]
        try:
            backend_shapes = context.forward({**params, "tasks": others})["tasks"] if others else []
        except AwsError:
            backend_shapes = []
        backend_ids = {shape["taskArn"].rpartition("/")[2] for shape in backend_shapes}
        missing = [name for name in others if name.rpartition("/")[2] not in backend_ids]
        shapes = [task.shape() for task in tasks.values() if task is not None]
        return {
            "tasks": [*shapes, *backend_shapes],
            "failures": [{"arn": name, "reason": "MISSING"} for name in missing],
        }

    def _find_by_token(self, cluster: str, params: Params) -> StandaloneTask | None:
        """Return the task of a client token. Raises AwsError ConflictException if the request was another."""
        for task in self._tasks.values():
            is_same_token = params.get("clientToken") and task.request.get("clientToken") == params["clientToken"]
            if is_same_token and task.cluster == cluster and not task.is_forgotten:
                if task.request != params:
                    raise AwsError("ConflictException", "The client token was used with other parameters.")
                return task
        return None

    def _definition(self, name: str, region: str) -> Params:
        response = self.state.call("ecs", "DescribeTaskDefinition", region, taskDefinition=name)
        definition: Params = response["taskDefinition"]
        if definition.get("status") != "ACTIVE":
            raise client_error("TaskDefinition is inactive")
        return definition

    def _check_request(self, params: Params, definition: Params) -> None:
        if definition.get("networkMode") == "awsvpc" and not params.get("networkConfiguration"):
            raise invalid_parameter("Network Configuration must be provided when networkMode 'awsvpc' is specified.")
        if params.get("enableExecuteCommand") and not definition.get("taskRoleArn"):
            raise invalid_parameter("A valid taskRoleArn is not being used. Specify a valid task role and try again.")
        for key in ("executionRoleArn", "taskRoleArn"):
            role = definition.get(key)
            if role and not can_assume_role(self.state, role, TASKS_PRINCIPAL):
                raise client_error(f"ECS was unable to assume the role '{role}' that was provided for this task.")

    def _list_visible(self, cluster: str, region: str) -> list[StandaloneTask]:
        tasks = [task for task in self._tasks.values() if task.cluster == cluster and f":{region}:" in task.arn]
        for task in tasks:
            self._advance(task)
        return [task for task in tasks if not task.is_forgotten]

    def _find_task(self, name: str, cluster: str, context: CallContext) -> StandaloneTask | None:
        identifier = name.rpartition("/")[2]
        tasks = self._list_visible(cluster, context.region)
        return next((task for task in tasks if task.arn.rpartition("/")[2] == identifier), None)

    def _start(self, task: StandaloneTask, region: str) -> None:
        container = task.definition["containerDefinitions"][0]
        reason = self._start_failure(container, region)
        if reason:
            task.finish("TaskFailedToStart", reason)
        elif self.state.container_runtime is not None and not container["image"].startswith(PUBLIC_REGISTRIES):
            task.run = self.state.container_runtime.run_task(_build_workload(task, container, region))

    def _start_failure(self, container: Params, region: str) -> str:
        """Return why the task stops before its container runs, or ""."""
        from orchestrator.emulator.container_runtime.secret_values import SecretError, resolve_secret

        image = container["image"]
        if self.state.faults.require_images and is_failing_image(self.state, image):
            return f"CannotPullContainerError: pull image manifest has been retried 1 time(s): {image}: not found"
        try:
            for item in container.get("secrets", []):
                resolve_secret(self.state, item["valueFrom"], region)
        except SecretError as error:
            return f"ResourceInitializationError: unable to pull secrets or registry auth: {error}"
        group = container.get("logConfiguration", {}).get("options", {}).get("awslogs-group", "")
        groups = self.state.call("logs", "DescribeLogGroups", region, logGroupNamePrefix=group)["logGroups"]
        if group and group not in {item["logGroupName"] for item in groups}:
            return (
                "ResourceInitializationError: failed to validate logger args: The specified log group does not exist."
            )
        return ""

    def _advance(self, task: StandaloneTask) -> None:
        """Apply what has become of the task since the last read."""
        elapsed, settle = time.monotonic() - task.created_clock, task.settle_seconds
        if task.stopped_at is not None or elapsed < settle / 2:
            return
        if task.run is None:
            container = task.definition["containerDefinitions"][0]
            task.started_at = task.started_at or datetime.now(UTC)
            if elapsed >= settle and not container["image"].startswith(PUBLIC_REGISTRIES):
                is_failing = is_failing_image(self.state, container["image"])
                task.finish("EssentialContainerExited", exit_code=int(is_failing))
            return
        if task.run.is_started:
            task.started_at = task.started_at or datetime.now(UTC)
        if task.run.failure:
            task.finish("TaskFailedToStart", task.run.failure)
        elif task.run.exit_code is not None:
            code = task.run.exit_code
            task.finish("EssentialContainerExited", exit_code=code if code >= 0 else 128 - code)


def _build_workload(task: StandaloneTask, container: Params, region: str) -> Workload:
    """Return the workload of a task's container."""
    options = container.get("logConfiguration", {}).get("options", {})
    stream = f"{options.get('awslogs-stream-prefix')}/{container['name']}/{task.arn.rpartition('/')[2]}"
    return Workload(
        task.arn,
        region,
        container["image"],
        "0",
        {},
        command=(*container.get("entryPoint", []), *container.get("command", [])),
        environment={item["name"]: item.get("value", "") for item in container.get("environment", [])},
        secrets={item["name"]: item["valueFrom"] for item in container.get("secrets", [])},
        output_log=(options["awslogs-group"], stream) if "awslogs-group" in options else None,
    )
