"""Run the command of a migration as one Fargate task of the service's image, in its network, with its secrets.

API: ECS CreateCluster, DescribeClusters, RegisterTaskDefinition, ListTasks, DescribeTasks, RunTask, StopTask,
DeregisterTaskDefinition, DeleteTaskDefinitions; CloudWatch Logs CreateLogGroup, PutRetentionPolicy, GetLogEvents.

A task is known by its ``startedBy``, which only RunTask sets: project, environment, service and build. It is not
started twice: RunTask gets a client token made from that and from the tasks that failed before. ECS keeps a token for
24 hours, but no longer than an hour after its task ended, answers a repeated request with the same task, and one with
other parameters with ConflictException (ECS API reference, "Ensuring idempotency"). Stopped tasks are listed for at
least an hour (DescribeTasks); what ended well longer ago without being recorded runs again.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterator, Mapping
from typing import Any, TypeAlias

from orchestrator.artefacts.build_process import BuildLog, CommandOutput, ignore_output
from orchestrator.aws.errors import AwsError
from orchestrator.problems import Problem, Problems
from orchestrator.resources import AwsReader
from orchestrator.resources.migration.command_secrets import read_variables
from orchestrator.steps import ApiCall, Compute, LocalCall, Steps, Wait, call
from orchestrator.values import Value

Poll: TypeAlias = Callable[[float], Iterator[AwsReader]]
CLUSTER_NAME = "default"
CONTAINER_NAME = "migration"
MISSING_CLUSTER_CODES = ("ClusterNotFoundException",)
TIDY_CODES = ("ClientException", "InvalidParameterException")
"""Refusals to tidy up that change nothing: the task or its definition is gone already."""
START_TIMEOUT_SECONDS = 900.0
"""Seconds that a task has to start: an address, the image, the secrets."""
WAITING_STATUSES = ("PROVISIONING", "PENDING", "ACTIVATING")
LISTING_TIMEOUT_SECONDS = 60.0
MAX_MISSED_POLLS = 4
NOT_DEPLOYED_HINT = "the new build was not deployed; fix the cause and deploy again"


def find(aws: AwsReader, task_spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the task of this build that is not over, or else the newest that ended well; None if there is none."""
    tasks = [
        task
        for status in ("RUNNING", "STOPPED")
        for task in _describe(aws, _list_arns(aws, task_spec, status))
        if task.get("startedBy") == task_spec["started_by"]
    ]
    unfinished = [task for task in tasks if task["lastStatus"] != "STOPPED"]
    successful = [task for task in tasks if _exit_code(task) == 0]
    newest_first = sorted(successful, key=lambda task: str(task.get("createdAt", "")), reverse=True)
    return next(iter([*unfinished, *newest_first]), None)


def start(instructions: Mapping[str, Any], build: str) -> Steps:
    """Start the task, and return its ``arn``.  Raises Problems if Fargate has no capacity or the network no subnet."""
    task_spec = instructions["task"]
    network = _network(task_spec)
    yield from prepare_cluster()
    yield from _prepare_log_group(task_spec)
    registered = yield ApiCall("ecs", "register_task_definition", _definition(instructions, build))
    definition = registered["taskDefinition"]["taskDefinitionArn"]
    token = yield LocalCall("look for failed attempts", choose_token, (task_spec,), polls_aws=True)
    request = {
        "cluster": CLUSTER_NAME,
        "taskDefinition": definition,
        "launchType": "FARGATE",
        "count": 1,
        "networkConfiguration": network,
        "startedBy": task_spec["started_by"],
        "clientToken": token,
        "tags": _build_tags(task_spec["tags"]),
    }
    response = yield ApiCall(
        "ecs",
        "run_task",
        request,
        exists_codes=("ConflictException",),
        read_existing=lambda aws, _: _read_started(aws, task_spec),
    )
    return {"arn": (yield Compute("task ARN", started_task_arn, (response,)))}


def finish(task_arn: Value, instructions: Mapping[str, Any], documents: list[Value]) -> Steps:
    """Show the log of the task until it ends or its time is over, then tidy up.

    Raises Problems if the command did not end well.
    """
    arguments = (task_arn, instructions, documents)
    note = " ".join(instructions["command"])
    result = yield LocalCall("migrate in the VPC", follow, arguments, note, has_output=True, polls_aws=True)
    stop = {"cluster": CLUSTER_NAME, "task": task_arn, "reason": "the migration reached its time limit"}
    yield ApiCall("ecs", "stop_task", stop, ok_codes=TIDY_CODES)
    definition = result["definition"]
    yield ApiCall("ecs", "deregister_task_definition", {"taskDefinition": definition}, ok_codes=TIDY_CODES)
    yield ApiCall("ecs", "delete_task_definitions", {"taskDefinitions": [definition]}, ok_codes=TIDY_CODES)
    yield Compute("exit code", require_success, (result,))
    return {}


def follow(
    task_arn: str,
    instructions: Mapping[str, Any],
    documents: list[Mapping[str, Any]],
    on_output: Callable[[str], None] = ignore_output,
    *,
    poll: Poll,
) -> dict[str, Any]:
    """Show the log of a task until it ends; return its definition and, if it did not end well, the ``problems``."""
    command, within = instructions["command"], instructions["within"]
    log = BuildLog("migration", on_output, dict(read_variables(instructions["secrets"], documents)).values())
    watch = _TaskWatch(task_arn, instructions["task"]["log_group"], poll)
    with log.capture(command) as output:
        task = watch.until(lambda status: status not in WAITING_STATUSES, START_TIMEOUT_SECONDS, output)
        if task["lastStatus"] not in WAITING_STATUSES:
            task = watch.until(lambda status: status == "STOPPED", within, output)
    result: dict[str, Any] = {"definition": task["taskDefinitionArn"], "problems": None}
    place = f"CloudWatch Logs {watch.log_group}, stream {watch.log_stream}"
    exit_code = _exit_code(task)
    if task["lastStatus"] != "STOPPED":
        limit = START_TIMEOUT_SECONDS if task["lastStatus"] in WAITING_STATUSES else within
        message = f"the migration was still {task['lastStatus']} after {limit:.0f}s and was stopped\nLog: {place}"
        hint = f"set `migrate.withinSeconds`, or find out what the migration is waiting for; {NOT_DEPLOYED_HINT}"
        result["problems"] = Problems([Problem(message, hint=hint)])
    elif exit_code is None:
        message = f"the migration command did not run: {_stop_reason(task)}"
        result["problems"] = Problems([Problem(message, hint=NOT_DEPLOYED_HINT)])
    elif exit_code:
        hint = f"{NOT_DEPLOYED_HINT}; log: {place}"
        result["problems"] = log.failure(output.result(exit_code), "the migration failed", hint=hint)
    return result


def require_success(result: Mapping[str, Any]) -> int:
    """Return 0.  Raises Problems if the task did not end well."""
    if result["problems"] is not None:
        raise result["problems"]
    return 0


def choose_token(task_spec: Mapping[str, Any], *, poll: Poll) -> str:
    """Return the client token of the next attempt: the same until another attempt has failed.

    Raises Problems if AWS cannot be asked.
    """
    reason = ""
    for aws in poll(LISTING_TIMEOUT_SECONDS):
        try:
            stopped = _describe(aws, _list_arns(aws, task_spec, "STOPPED"))
        except AwsError as error:
            reason = str(error)
            if error.is_transient:
                continue
            break
        attempts = [task for task in stopped if task.get("startedBy") == task_spec["started_by"]]
        failed = sorted(str(task["taskArn"]) for task in attempts if _exit_code(task) != 0)
        return hashlib.sha256("\n".join([task_spec["started_by"], *failed]).encode()).hexdigest()
    raise Problems.from_message(reason, hint="nothing was migrated; deploy again")


def started_task_arn(response: Mapping[str, Any]) -> str:
    """Return the task's ARN.  Raises Problems if RunTask placed none, which it answers with a list of failures."""
    for task in response.get("tasks", ()):
        return str(task["taskArn"])
    failures = [f"{item.get('reason')} {item.get('detail') or ''}".strip() for item in response.get("failures", ())]
    message = f"ECS did not start the migration: {'; '.join(failures) or 'no reason was given'}"
    raise Problems.from_message(message, hint="nothing was migrated; deploy again")


class _TaskWatch:
    """Reads a task and its log again and again."""

    def __init__(self, task_arn: str, log_group: str, poll: Poll) -> None:
        self._task_arn = task_arn
        self._poll = poll
        self._token: str | None = None
        self.log_group = log_group
        self.log_stream = f"{CONTAINER_NAME}/{CONTAINER_NAME}/{task_arn.rpartition('/')[2]}"

    def until(self, is_over: Callable[[str], bool], seconds: float, output: CommandOutput) -> Mapping[str, Any]:
        """Return the task once its status is reached or the time is over, with its log shown so far.

        Raises Problems if AWS cannot be asked several times in a row.
        """
        task: Mapping[str, Any] = {}
        missed_polls = 0
        for aws in self._poll(seconds):
            try:
                task = self._read(aws) or task
                self._show_log(aws, output)
                missed_polls = 0
            except AwsError as error:
                missed_polls += 1
                if not error.is_transient or missed_polls > MAX_MISSED_POLLS:
                    raise Problems.from_message(
                        str(error), hint="the task was not stopped; deploy again to wait for it"
                    ) from None
            if task and is_over(task["lastStatus"]):
                return task
        if not task:
            message = f"ECS does not list the task {self._task_arn}"
            raise Problems.from_message(message, hint="check it in the ECS console, then deploy again")
        return task

    def _read(self, aws: AwsReader) -> Mapping[str, Any] | None:
        """Return the task; None while reads do not show it yet."""
        return next(iter(_describe(aws, [self._task_arn])), None)

    def _show_log(self, aws: AwsReader, output: CommandOutput) -> None:
        request: dict[str, Any] = {"logGroupName": self.log_group, "logStreamName": self.log_stream}
        request["startFromHead"] = True
        while True:
            page = {**request, "nextToken": self._token} if self._token else request
            response = aws.get("logs", "get_log_events", missing=("ResourceNotFoundException",), **page)
            if response is None:
                return
            for event in response["events"]:
                output.add(f"{event['message']}\n".encode())
            previous, self._token = self._token, response.get("nextForwardToken")
            if not response["events"] or self._token == previous:
                return


def prepare_cluster() -> Steps:
    """Create the default cluster, unless the account has it, and wait until it is there."""
    codes = ("InvalidParameterException: idempotent",)  # somebody has made it, with other settings
    yield ApiCall(
        "ecs",
        "create_cluster",
        {"clusterName": CLUSTER_NAME},
        exists_codes=codes,
        read_existing=lambda aws, _: _read_cluster(aws),
    )
    yield Wait(
        call("ecs", "describe_clusters", clusters=[CLUSTER_NAME]),
        "clusters[0].status",
        ("ACTIVE",),
        timeout_seconds=120.0,
        stuck_hint="Check the cluster `default` in the ECS console.",
        description="the cluster",
    )
    return {}


def _read_cluster(aws: AwsReader) -> Mapping[str, Any] | None:
    """Return CreateCluster's response for the cluster that exists; None if it is not ACTIVE."""
    response = aws.get("ecs", "describe_clusters", clusters=[CLUSTER_NAME])
    active = [item for item in response.get("clusters", ()) if item.get("status") == "ACTIVE"]
    return {"cluster": active[0]} if active else None


def _prepare_log_group(task_spec: Mapping[str, Any]) -> Steps:
    """Create the log group, which tasks are not allowed to create, and set its retention."""
    group = task_spec["log_group"]
    yield ApiCall("logs", "create_log_group", {"logGroupName": group}, ok_codes=("ResourceAlreadyExistsException",))
    retention = {"logGroupName": group, "retentionInDays": task_spec["log_retention_days"]}
    yield ApiCall(
        "logs", "put_retention_policy", retention, retry_codes=("ResourceNotFoundException",), timeout_seconds=30
    )
    return {}


def _definition(instructions: Mapping[str, Any], build: str) -> dict[str, Value]:
    """Return the task definition: the image with the command in place of its entry point."""
    task_spec, command = instructions["task"], instructions["command"]
    environment = {**instructions["environment"], "ORCHESTRATOR_RELEASE": build}
    options = {"awslogs-group": task_spec["log_group"], "awslogs-region": task_spec["region"]}
    container = {
        "name": CONTAINER_NAME,
        "image": task_spec["image"],
        "essential": True,
        "entryPoint": command[:1],
        "command": command[1:],
        "environment": [{"name": name, "value": value} for name, value in environment.items()],
        "secrets": [{"name": name, "valueFrom": value} for name, value in task_spec["secrets"].items()],
        "logConfiguration": {
            "logDriver": "awslogs",
            "options": {**options, "awslogs-stream-prefix": CONTAINER_NAME},
        },
    }
    return {
        "family": task_spec["family"],
        "networkMode": "awsvpc",
        "requiresCompatibilities": ["FARGATE"],
        "cpu": task_spec["cpu"],
        "memory": task_spec["memory"],
        "executionRoleArn": task_spec["execution_role"],
        "taskRoleArn": task_spec["task_role"],
        "containerDefinitions": [container],
        "tags": _build_tags(task_spec["tags"]),
    }


def _network(task_spec: Mapping[str, Any]) -> dict[str, Value]:
    """Return the network of the task: with a public address where subnets have a route to the internet.

    It needs one to pull the image, read secrets and write its log; nothing can connect to it, because its security
    group lets nothing in. Raises Problems while planning if the network has no subnet.
    """
    public, private = task_spec["public_subnets"], task_spec["private_subnets"]
    is_public = not isinstance(public, list) or bool(public)
    subnets = public if is_public else private
    if isinstance(subnets, list) and not subnets:
        raise Problems.from_message(
            "the migration runs in the VPC, but the network has no suitable subnet",
            hint="list subnets in `network.subnets` of the Project, or remove `migrate.runs`",
        )
    configuration = {
        "subnets": subnets,
        "securityGroups": task_spec["security_groups"],
        "assignPublicIp": "ENABLED" if is_public else "DISABLED",
    }
    return {"awsvpcConfiguration": configuration}


def _read_started(aws: AwsReader, task_spec: Mapping[str, Any]) -> Mapping[str, Any] | None:
    """Return the task that an earlier request with this token started, as RunTask does; None if it is not seen yet."""
    task = find(aws, task_spec)
    return {"tasks": [task]} if task else None


def _list_arns(aws: AwsReader, task_spec: Mapping[str, Any], status: str) -> list[str]:
    filters = {"cluster": CLUSTER_NAME, "family": task_spec["family"], "desiredStatus": status}
    return aws.all("ecs", "list_tasks", "taskArns", missing=MISSING_CLUSTER_CODES, **filters)


def _describe(aws: AwsReader, arns: list[str]) -> list[Mapping[str, Any]]:
    if not arns:
        return []
    response = aws.get("ecs", "describe_tasks", cluster=CLUSTER_NAME, tasks=arns[:100], missing=MISSING_CLUSTER_CODES)
    return list((response or {}).get("tasks", ()))


def _exit_code(task: Mapping[str, Any]) -> int | None:
    """Return the exit code of the command; None while it runs and if it never ran."""
    code: int | None = next((item.get("exitCode") for item in task.get("containers", ())), None)
    return code if task["lastStatus"] == "STOPPED" else None


def _stop_reason(task: Mapping[str, Any]) -> str:
    """Return ECS's reasons, of the task and of its container."""
    reasons = [task.get("stoppedReason"), *(item.get("reason") for item in task.get("containers", ()))]
    return "; ".join(dict.fromkeys(filter(None, reasons))) or str(task.get("stopCode", "no reason was given"))


def _build_tags(tags: Mapping[str, str]) -> list[dict[str, str]]:
    return [{"key": key, "value": value} for key, value in sorted(tags.items())]
