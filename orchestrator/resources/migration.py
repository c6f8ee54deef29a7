"""Run the database migration of a build, once.

API: RDS CreateDBSnapshot, Secrets Manager GetSecretValue, S3 HeadObject, PutObject.

Success is recorded in the release bucket. A migration that is killed runs again, so the command must be repeatable
(every migration tool's is). It runs on the deploying machine, which must be able to reach the database, with the
service's secrets and variables in its environment.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

from orchestrator.artefacts.build_process import BuildLog, format_repeat, ignore_output, interruption
from orchestrator.problems import Problem, Problems
from orchestrator.redaction.github_masks import mask
from orchestrator.resources import AwsReader
from orchestrator.resources._database_snapshot import create_snapshot
from orchestrator.steps import ApiCall, LocalCall, Steps
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"rds_instance", "s3_bucket", "secretsmanager_secret"})
ARN = None


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
    if not aws.has_object(Bucket=bucket, Key=key, ExpectedBucketOwner=scope.account):
        return None
    return LiveResource({"build": spec["build"]}, owner=scope.owner)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Take a snapshot of databases that may lose data, run the command, and record that it ran."""
    bucket, _, key = name.partition("/")
    instructions = spec["how"].value
    for database, snapshot in snapshot_names(spec).items():
        yield from create_snapshot(database, snapshot, "Nothing was migrated.", can_exist=True)
    documents: list[Value] = []
    for source in instructions["secrets"]:
        request = {"SecretId": source["arn"]}
        documents.append((yield ApiCall("secretsmanager", "get_secret_value", request, is_sensitive=True)))
    arguments = (instructions, spec["build"], documents)
    note = " ".join(instructions["command"])
    yield LocalCall("migrate", _run_migration, arguments, note, has_output=True)
    mark = {"Bucket": bucket, "Key": key, "ExpectedBucketOwner": scope.account}
    yield ApiCall("s3", "put_object", mark, retry_codes=("NoSuchBucket",), timeout_seconds=60.0)
    return {}


def snapshot_names(spec: Mapping[str, Value]) -> dict[str, str]:
    """Return the snapshot that is taken before the command runs, by database."""
    instructions = spec["how"].value if isinstance(spec["how"], WriteOnly) else spec["how"]
    return {database: f"{database}-before-{spec['build']}"[:255].rstrip("-") for database in instructions["snapshots"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Do nothing: a migration that ran is not repeated."""
    yield from ()
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Do nothing: a rollback deploys older code and keeps the schema."""
    yield from ()
    return {}


def _run_migration(
    instructions: Mapping[str, Any],
    build: str,
    documents: list[Mapping[str, Any]],
    on_output: Callable[[str], None] = ignore_output,
) -> None:
    """Run the command; ``documents`` are the secrets' values.

    Raises Problems with the first error and the end of the output if it fails.
    """
    command, folder = instructions["command"], Path(instructions["folder"])
    values = dict(_read_variables(instructions["secrets"], documents))
    log = BuildLog("migration", on_output, values.values())
    environment = {**instructions["environment"], **values, "ORCHESTRATOR_RELEASE": build}
    timeout = instructions["within"]
    try:
        result = log.run(command, folder=folder, environment=environment, timeout=timeout, is_trusted=True)
    except Problems as error:
        message = (
            "the migration was interrupted; the database may be partly migrated, and the new build is not deployed"
        )
        raise interruption(error, message) from None
    if result.exit_code:
        hint = "the new build was not deployed; fix the cause and deploy again"
        repeat = format_repeat(folder, command)
        raise log.failure(result, "the migration failed", repeat=repeat, hint=hint)


def _read_variables(sources: list[Mapping[str, Any]], documents: list[Mapping[str, Any]]) -> Iterator[tuple[str, str]]:
    """Yield each environment variable with the value of its key.

    Raises Problems, all at once, if a secret has no value for a key.
    """
    problems: list[Problem] = []
    for source, document in zip(sources, documents, strict=True):
        keys = json.loads(document["SecretString"])
        for variable, key in source["variables"].items():
            if key in keys:
                yield variable, mask(str(keys[key]))
            else:
                message = f"the secret {document['Name']} has no value for `{key}`, which the migration needs"
                problems.append(Problem(message, hint="set it in Secrets Manager; nothing was migrated"))
    if problems:
        raise Problems(problems)
