"""A command that prepares the database for a build, once.  API: RDS CreateDBSnapshot, S3 HeadObject, PutObject.

That it ran is written into the release bucket when it has ended well; killed before, it runs again, so it has to be
one that may (every migration tool's is).  It runs on the machine that deploys: the database has to be in its reach.
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
    """Nothing but the build is compared: how an earlier one was migrated for does not matter any more."""
    instructions = spec.get("how")
    return (
        spec
        if instructions is None or isinstance(instructions, WriteOnly)
        else {**spec, "how": WriteOnly(instructions)}
    )


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Whether it ran for this build; ``name`` is ``BUCKET/KEY``."""
    bucket, _, key = name.partition("/")
    if aws.get("s3", "head_object", Bucket=bucket, Key=key, missing=NOT_FOUND_CODES) is None:
        return None
    return LiveResource({"build": spec["build"]}, owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """A snapshot first where data may be lost; then the command; then the note that it ran."""
    bucket, _, key = name.partition("/")
    instructions = spec["how"].value
    for database in instructions["snapshots"]:
        yield from _create_snapshot(database, f"{database}-before-{spec['build']}"[:255].rstrip("-"))
    arguments = (instructions["command"], instructions["folder"], spec["build"], instructions["within"])
    yield LocalCall("migrate", _run_migration, arguments, " ".join(instructions["command"]))
    yield ApiCall(
        "s3", "put_object", {"Bucket": bucket, "Key": key}, retry_codes=("NoSuchBucket",), timeout_seconds=60.0
    )
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """What ran has run."""
    yield from ()
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Going back ships older code, not an older schema."""
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
    hint = f"Look at snapshot {name} in the RDS console; nothing was migrated."
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
    """Raises Problems with the end of the output."""
    environment = {"ORCHESTRATOR_RELEASE": build}
    hint = "the build that needs it was not switched to; settle the cause and deploy again"
    failure_message = "the migration failed"
    return shell.run_checked(
        command,
        failure_message=failure_message,
        hint=hint,
        folder=Path(folder),
        environment=environment,
        timeout=timeout_seconds,
    )
