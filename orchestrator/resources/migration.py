"""Run the database migration of a build, once. API: RDS CreateDBSnapshot, S3 HeadObject, PutObject.

Success is recorded in the release bucket. A migration that is killed runs again, so the command must be repeatable
(every migration tool's is). It runs on the deploying machine, which must be able to reach the database.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator import shell
from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, LocalCall, Steps, Wait, call
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"rds_instance", "s3_bucket"})
ARN = None

NOT_FOUND_CODES = ("404", "NoSuchKey", "NoSuchBucket")
SNAPSHOT_TIMEOUT_SECONDS = 3600.0


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with ``how`` write-only: only the build is compared."""
    instructions = spec.get("how")
    return (
        spec
        if instructions is None or isinstance(instructions, WriteOnly)
        else {**spec, "how": WriteOnly(instructions)}
    )


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the migration if it ran for this build, or None. ``name`` is ``BUCKET/KEY``."""
    bucket, _, key = name.partition("/")
    request = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": scope.account}
    if aws.get("s3", "head_object", missing=NOT_FOUND_CODES, **request) is None:
        return None
    return LiveResource({"build": spec["build"]}, owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Take a snapshot of databases that may lose data, run the command, and record that it ran."""
    bucket, _, key = name.partition("/")
    instructions = spec["how"].value
    for database in instructions["snapshots"]:
        yield from _create_snapshot(database, f"{database}-before-{spec['build']}"[:255].rstrip("-"))
    arguments = (instructions["command"], instructions["folder"], spec["build"], instructions["within"])
    yield LocalCall("migrate", _run_migration, arguments, " ".join(instructions["command"]))
    request = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": scope.account}
    yield ApiCall("s3", "put_object", request, retry_codes=("NoSuchBucket",), timeout_seconds=60.0)
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Do nothing: a migration that ran is not repeated."""
    yield from ()
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Do nothing: a rollback deploys older code and keeps the schema."""
    yield from ()
    return {}


def _create_snapshot(database: str, name: str) -> Steps:
    request = {"DBInstanceIdentifier": database, "DBSnapshotIdentifier": name}
    yield ApiCall(
        "rds",
        "create_db_snapshot",
        request,
        ok_codes=("DBSnapshotAlreadyExists",),
        retry_codes=("InvalidDBInstanceState",),
    )
    describe_call = call("rds", "describe_db_snapshots", DBSnapshotIdentifier=name)
    hint = f"Check snapshot {name} in the RDS console. Nothing was migrated."
    path = "DBSnapshots[0].Status"
    yield Wait(
        describe_call,
        path,
        ("available",),
        ("failed",),
        timeout_seconds=SNAPSHOT_TIMEOUT_SECONDS,
        stuck_hint=hint,
        description="the snapshot",
    )
    return {}


def _run_migration(command: list[str], folder: str, build: str, timeout_seconds: float) -> str:
    """Run the command and return its output.

    Raises Problems with the end of the output if it fails.
    """
    environment = {"ORCHESTRATOR_RELEASE": build}
    hint = "the new build was not deployed; fix the cause and deploy again"
    failure_message = "the migration failed"
    return shell.run_checked(
        command,
        failure_message=failure_message,
        hint=hint,
        folder=Path(folder),
        environment=environment,
        timeout=timeout_seconds,
    )
