"""A command that prepares the database for a build, once.  API: RDS CreateDBSnapshot, S3 HeadObject, PutObject.

That it ran is written into the release bucket when it has ended well; killed before, it runs again, so it has to be
one that may (every migration tool's is).  It runs on the machine that deploys: the database has to be in its reach.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from orchestrator import shell
from orchestrator.resources import Aws
from orchestrator.steps import Call, Run, Steps, Wait, call
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"rds_instance", "s3_bucket"})
ARN = None

GONE = ("404", "NoSuchKey", "NoSuchBucket")
BACKUP_WITHIN = 3600.0


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Nothing but the build is compared: how an earlier one was migrated for does not matter any more."""
    how = spec.get("how")
    return spec if how is None or isinstance(how, WriteOnly) else {**spec, "how": WriteOnly(how)}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """Whether it ran for this build; ``name`` is ``BUCKET/KEY``."""
    bucket, _, key = name.partition("/")
    if aws.get("s3", "head_object", Bucket=bucket, Key=key, missing=GONE) is None:
        return None
    return Live({"build": spec["build"]}, owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """A snapshot first where data may be lost; then the command; then the note that it ran."""
    bucket, _, key = name.partition("/")
    how = spec["how"].value
    for database in how["snapshots"]:
        yield from _snapshot(database, f"{database}-before-{spec['build']}"[:255].rstrip("-"))
    arguments = (how["command"], how["folder"], spec["build"], how["within"])
    yield Run("migrate", _migrate, arguments, " ".join(how["command"]))
    yield Call("s3", "put_object", {"Bucket": bucket, "Key": key}, retry=("NoSuchBucket",), patience=60.0)
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """What ran has run."""
    yield from ()
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Going back ships older code, not an older schema."""
    yield from ()
    return {}


def _snapshot(database: str, name: str) -> Steps:
    made = {"DBInstanceIdentifier": database, "DBSnapshotIdentifier": name}
    yield Call("rds", "create_db_snapshot", made, ok=("DBSnapshotAlreadyExists",), retry=("InvalidDBInstanceState",))
    look = call("rds", "describe_db_snapshots", DBSnapshotIdentifier=name)
    stuck = f"Look at snapshot {name} in the RDS console; nothing was migrated."
    path = "DBSnapshots[0].Status"
    yield Wait(look, path, ("available",), ("failed",), patience=BACKUP_WITHIN, stuck=stuck, what="the snapshot")
    return {}


def _migrate(command: list[str], folder: str, build: str, within: float) -> str:
    """Raises Problems with the end of the output."""
    environment = {"ORCHESTRATOR_RELEASE": build}
    hint = "the build that needs it was not switched to; settle the cause and deploy again"
    what = "the migration failed"
    return shell.demand(command, what=what, hint=hint, folder=Path(folder), environment=environment, timeout=within)
