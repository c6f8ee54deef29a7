"""Run the database migration of a build, once: on this machine, or as a Fargate task in the VPC.

API: RDS CreateDBSnapshot, Secrets Manager GetSecretValue, S3 HeadObject, PutObject; ECS in ``fargate_task``.

Success is recorded in the release bucket. A migration that is killed on this machine runs again, so the command must be
repeatable (every migration tool's is). A task goes on in AWS without the run that started it: the next run finds it and
waits for it.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.resources import AwsReader
from orchestrator.resources._database_snapshot import create_snapshot
from orchestrator.resources.migration import fargate_task
from orchestrator.resources.migration.local_command import run_command
from orchestrator.steps import ApiCall, LocalCall, Steps
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import FieldChange, Health, LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset(
    {"ec2_security_group", "ec2_vpc", "ecr_image", "iam_role", "rds_instance", "s3_bucket", "secretsmanager_secret"}
)
ARN = None

TASK_EFFECT = "A task of this migration already exists in AWS; the run waits for it and does not start another."
GENTLE = frozenset({TASK_EFFECT})


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with ``how`` write-only: only the build is compared."""
    instructions = spec.get("how")
    return (
        spec
        if instructions is None or isinstance(instructions, WriteOnly)
        else {**spec, "how": WriteOnly(instructions)}
    )


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the migration if it ran for this build or runs now in the VPC, or None.  ``name`` is ``BUCKET/KEY``."""
    bucket, _, key = name.partition("/")
    if not aws.has_object(Bucket=bucket, Key=key, ExpectedBucketOwner=scope.account):
        return _read_task(aws, scope, _instructions(spec).get("task"))
    return LiveResource({"build": spec["build"]}, owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Take a snapshot of databases that may lose data, run the command, and record that it ran."""
    instructions = _instructions(spec)
    for database, snapshot in snapshot_names(spec).items():
        yield from create_snapshot(database, snapshot, "Nothing was migrated.", can_exist=True)
    documents = yield from _read_documents(instructions)
    if "task" in instructions:
        task = yield from fargate_task.start(instructions, str(spec["build"]))
        yield from fargate_task.finish(task["arn"], instructions, documents["values"])
    else:
        arguments = (instructions, spec["build"], documents["values"])
        yield LocalCall("migrate", run_command, arguments, " ".join(instructions["command"]), has_output=True)
    yield from _record_success(scope, name)
    return {}


def snapshot_names(spec: Mapping[str, Value]) -> dict[str, str]:
    """Return the snapshot that is taken before the command runs, by database."""
    return {
        database: f"{database}-before-{spec['build']}"[:255].rstrip("-")
        for database in _instructions(spec)["snapshots"]
    }


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Wait for the task that an earlier run started; a migration that ran is not repeated."""
    if "task" in live.private:
        instructions = _instructions(spec)
        documents = yield from _read_documents(instructions)
        yield from fargate_task.finish(live.private["task"], instructions, documents["values"])
        yield from _record_success(scope, name)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Do nothing: a rollback deploys older code and keeps the schema."""
    yield from ()
    return {}


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> tuple[str, ...]:
    """Return that the run waits for a task of an earlier run."""
    return (TASK_EFFECT,) if "task" in live.private else ()


def _instructions(spec: Mapping[str, Value]) -> Any:
    """Return what to run, and how; {} without a spec."""
    instructions = spec.get("how", {})
    return instructions.value if isinstance(instructions, WriteOnly) else instructions


def _read_task(aws: AwsReader, scope: Scope, task_spec: Mapping[str, Any] | None) -> LiveResource | None:
    """Return the migration whose task runs or ended well, though nobody recorded it; None if there is none."""
    task = fargate_task.find(aws, task_spec) if task_spec else None
    if task is None:
        return None
    status = f"its task is {task['lastStatus']}"
    return LiveResource(
        {"build": None}, private={"task": task["taskArn"]}, owner=scope.owner, health=Health.PROGRESSING, status=status
    )


def _read_documents(instructions: Mapping[str, Any]) -> Steps:
    """Read the secrets of the command.  A task gets them from ECS: then they only tell what its log must not show."""
    values: list[Value] = []
    for source in instructions["secrets"]:
        request = {"SecretId": source["arn"]}
        values.append((yield ApiCall("secretsmanager", "get_secret_value", request, is_sensitive=True)))
    return {"values": values}


def _record_success(scope: Scope, name: str) -> Steps:
    bucket, _, key = name.partition("/")
    mark = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": scope.account}
    yield ApiCall("s3", "put_object", mark, retry_codes=("NoSuchBucket",), timeout_seconds=60.0)
    return {}
