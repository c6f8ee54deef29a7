"""Restore an instance from a backup: a new instance takes its name, and the old one is kept under another.

API: RestoreDBInstanceToPointInTime, RestoreDBInstanceFromDBSnapshot, ModifyDBInstance (NewDBInstanceIdentifier).

RDS restores only to a new instance. Its name leads to its endpoint, so two renames move every client to it:

    NAME (old) and NAME-restored-X -> NAME-before-Y (old) and NAME-restored-X -> NAME-before-Y (old) and NAME (restored)

A tag of the restored instance says what it is to replace, until everything is done. Whatever is found halfway, the
remaining steps follow from the names and that tag, so any later run finishes a restore.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from orchestrator.ownership_tags import from_aws_tags, to_aws_tags
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.resources.rds_instance import modify, password, restore_check
from orchestrator.resources.rds_instance.api_members import (
    BUSY_CODES,
    NOT_FOUND_CODES,
    SETTINGS,
    TAG_DRILL_OF,
    TAG_REPLACED_BY,
    TAG_REPLACES,
    TAG_RESTORE_OF,
    TAG_RESTORED_FROM,
    USABLE_STATUSES,
)
from orchestrator.steps import ApiCall, LocalCall, Outputs, Steps, Wait, call
from orchestrator.values import Value
from orchestrator.vocabulary import TAG_COMPONENT, TAG_ENVIRONMENT, TAG_PROJECT, LiveResource, Scope

Instance = Mapping[str, Any]

MAX_BASE_LENGTH = 44
"""Characters of an instance's name that names made from it keep: RDS allows 63."""
RESTORE_TIMEOUT_SECONDS = 6 * 3600.0
"""A restore copies the whole storage and replays the log: hours for large databases."""
RENAME_TIMEOUT_SECONDS = 1800.0
RESTORE_MEMBERS = frozenset(
    {
        "DBInstanceClass", "Port", "DBSubnetGroupName", "VpcSecurityGroupIds", "DBParameterGroupName", "MultiAZ",
        "PubliclyAccessible", "NetworkType", "CACertificateIdentifier", "BackupRetentionPeriod",
        "PreferredBackupWindow", "CopyTagsToSnapshot", "AutoMinorVersionUpgrade", "EngineLifecycleSupport",
        "DeletionProtection", "EnableIAMDatabaseAuthentication", "EnableCloudwatchLogsExports", "AvailabilityZone",
    }
)  # fmt: skip
"""Members of CreateDBInstance that both restoring calls take too; what is not passed gets RDS's default."""
LATER_FIELDS = (
    "maintenance_window", "storage_max_gb", "insights", "insights_retention_days", "monitoring_seconds",
    "monitoring_role",
)  # fmt: skip
"""Fields that a restoring call does not take."""
IDENTIFYING_TAGS = (TAG_RESTORE_OF, TAG_RESTORED_FROM, TAG_DRILL_OF)
"""Tags that say which restore an instance is the result of."""
OWNERSHIP_TAGS = (TAG_PROJECT, TAG_ENVIRONMENT, TAG_COMPONENT)


class RestorePoint(Struct, frozen=True):
    """What to restore: ``kind`` is ``time`` (ISO 8601), ``snapshot`` or ``instance`` (one that was kept)."""

    kind: str
    value: str

    @classmethod
    def parse(cls, text: str) -> RestorePoint:
        """Return the point of a tag or of the field ``restored_from``."""
        kind, _, value = text.partition(" ")
        return cls(kind, value)

    def __str__(self) -> str:
        return f"{self.kind} {self.value}"

    @property
    def phrase(self) -> str:
        """The point as it continues a sentence about a restore, such as ``to 2026-11-29 14:05:00 UTC``."""
        match self.kind:
            case "time":
                return f"to {datetime.fromisoformat(self.value).astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
            case "snapshot":
                return f"from snapshot {self.value}"
            case _:
                return f"to the replaced instance {self.value}"


class RestoreState(Struct, frozen=True):
    """How far a restore is. Names are of instances that exist, or "".

    ``candidate`` is the instance that replaces the one called ``name``; ``replaced_name`` is that one's later name.
    ``is_old_at_name`` and ``is_old_renamed`` say where the old instance is, if there is one.
    """

    point: str
    candidate: str
    replaced_name: str
    is_old_at_name: bool
    is_old_renamed: bool


def find_unfinished(instances: Iterable[Instance], scope: Scope, name: str) -> RestoreState | None:
    """Return the state of a restore that has not finished, or None."""
    by_name = {str(item["DBInstanceIdentifier"]): item for item in instances}
    for candidate, item in by_name.items():
        tags = from_aws_tags(item.get("TagList"))
        owner, _, rest = tags.get(TAG_RESTORE_OF, "").partition(" ")
        target, _, replaced_name = rest.partition(" ")
        if (owner, target) == (scope.owner, name.lower()):
            return RestoreState(
                tags.get(TAG_RESTORED_FROM, ""),
                candidate,
                replaced_name,
                is_old_at_name=name.lower() in by_name and candidate != name.lower(),
                is_old_renamed=replaced_name in by_name,
            )
    return None


def plan_state(scope: Scope, name: str, point: str, live: LiveResource) -> RestoreState:
    """Return the state of a restore that has not begun."""
    resource_id = str(live.private.get("resource_id", ""))
    parsed = RestorePoint.parse(point)
    replaced_name = f"{name[:MAX_BASE_LENGTH].rstrip('-')}-before-{_short_hash(resource_id)}"
    candidate = parsed.value if parsed.kind == "instance" else ""
    return RestoreState(point, candidate, replaced_name, is_old_at_name=True, is_old_renamed=False)


def candidate_name(name: str, point: str, resource_id: str) -> str:
    """Return the name of the restored instance until it takes its final one: the same on every try."""
    return f"{name[:MAX_BASE_LENGTH].rstrip('-')}-restored-{_short_hash(f'{point} {resource_id}')}"


def replace_by_restored(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource) -> Steps:
    """Restore beside the instance, verify, swap the names, and mark both; or what remains of that."""
    state: RestoreState = live.private.get("restore") or plan_state(scope, name, spec["restored_from"], live)
    options = _options(spec)
    candidate = state.candidate
    mark = {TAG_RESTORE_OF: f"{scope.owner} {name} {state.replaced_name}", TAG_RESTORED_FROM: state.point}
    if not candidate:
        candidate = candidate_name(name, state.point, str(live.private.get("resource_id", "")))
        yield from restore_instance(scope, candidate, spec, RestorePoint.parse(state.point), mark, source=name)
    elif live.private.get("restore") is None:
        yield _add_tags(scope, candidate, mark)
    response: Value = {}
    if candidate != name:
        response = yield from _prepare_instance(candidate, spec)
        if options.get("verify", True):
            yield from _verify(
                response, spec, options, old_host=live.outputs.get("host", "") if state.is_old_at_name else ""
            )
        yield from _swap_names(scope, name, candidate, state)
    response = yield _wait_for_name(name)
    yield from _finish(scope, name, spec, state)
    return {"host": _host_of(response), "arn": modify.build_arn(scope, name)}


def create_from_backup(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Restore an instance that is gone, under its own name."""
    options = _options(spec)
    tags = {**modify.build_tags(spec), TAG_RESTORED_FROM: spec["restored_from"]}
    point = RestorePoint.parse(spec["restored_from"])
    yield from restore_instance(scope, name, spec, point, tags, source_id=options.get("source_id", ""))
    response = yield from _prepare_instance(name, spec)
    if options.get("verify", True):
        yield from _verify(response, spec, options, old_host="")
    return {"host": _host_of(response), "arn": modify.build_arn(scope, name)}


def build_restore_call(
    name: str,
    spec: Mapping[str, Value],
    point: RestorePoint,
    tags: Mapping[str, Value],
    *,
    source: str = "",
    source_id: str = "",
) -> ApiCall:
    """Return the call that restores ``point`` to a new instance ``name``, with everything that RDS would default."""
    members = {
        SETTINGS[key].create_member: value
        for key, value in spec.items()
        if key in SETTINGS and SETTINGS[key].create_member in RESTORE_MEMBERS and value is not None
    }
    request: dict[str, Value] = {**members, "Tags": to_aws_tags(tags)}
    if point.kind == "snapshot":
        request |= {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": point.value}
        return ApiCall("rds", "restore_db_instance_from_db_snapshot", request, retry_codes=("InvalidDBSnapshotState",))
    origin = {"SourceDbiResourceId": source_id} if source_id else {"SourceDBInstanceIdentifier": source}
    request |= {**origin, "TargetDBInstanceIdentifier": name, "RestoreTime": datetime.fromisoformat(point.value)}
    return ApiCall("rds", "restore_db_instance_to_point_in_time", request, retry_codes=BUSY_CODES)


def restore_instance(
    scope: Scope,
    name: str,
    spec: Mapping[str, Value],
    point: RestorePoint,
    tags: Mapping[str, Value],
    *,
    source: str = "",
    source_id: str = "",
) -> Steps:
    """Restore ``point`` to a new instance, or go on with the one that an earlier try of the same has made."""
    restoring_call = build_restore_call(name, spec, point, tags, source=source, source_id=source_id)

    def read_existing(aws: AwsReader, message: str) -> Any:
        """Return the response if the instance is this restore's own; the response to an earlier try was lost."""
        response = aws.get("rds", "describe_db_instances", DBInstanceIdentifier=name, missing=NOT_FOUND_CODES)
        if not response or not response["DBInstances"]:
            return None
        live_tags = from_aws_tags(response["DBInstances"][0].get("TagList"))
        if any(live_tags.get(key) != tags[key] for key in IDENTIFYING_TAGS if key in tags):
            raise Problems.from_message(
                f"{name} already exists, and is not the result of this restore",
                hint="rename or delete it, then run the command again",
            )
        return {"DBInstance": response["DBInstances"][0]}

    yield ApiCall(
        restoring_call.service,
        restoring_call.operation,
        restoring_call.parameters,
        retry_codes=restoring_call.retry_codes,
        exists_codes=("DBInstanceAlreadyExists",),
        read_existing=read_existing,
    )
    return {}


def _prepare_instance(name: str, spec: Mapping[str, Value]) -> Steps:
    """Wait for the restored instance, and set what a restoring call does not take; return its description."""
    yield modify.wait_until_available(name, timeout_seconds=RESTORE_TIMEOUT_SECONDS)
    # The data has the password of the restored moment: set today's.
    credentials = yield from password.password_parameters(spec["credentials"])
    later = {
        SETTINGS[field].modify_member or field: spec[field] for field in LATER_FIELDS if spec.get(field) is not None
    }
    request = {"DBInstanceIdentifier": name, **later, **credentials, "ApplyImmediately": True}
    yield ApiCall("rds", "modify_db_instance", request, retry_codes=BUSY_CODES, timeout_seconds=1800)
    response = yield modify.wait_until_available(name, ("MasterUserPassword",))
    return {"DBInstances": response["DBInstances"]}


def _verify(response: Value, spec: Mapping[str, Value], options: Mapping[str, Value], *, old_host: str) -> Steps:
    """Connect to the restored instance, and report its contents beside those of the old one."""
    credentials = spec["credentials"]
    instance = response["DBInstances"][0]
    secret_id = instance["MasterUserSecret"]["SecretArn"] if credentials.get("managed") else credentials["secret"]
    key = "password" if credentials.get("managed") else credentials["key"]
    secret = yield ApiCall("secretsmanager", "get_secret_value", {"SecretId": secret_id}, is_sensitive=True)
    login = {
        "host": _host_of(response),
        "port": spec.get("port"),
        "database": spec["database"],
        "username": spec["username"],
        "ca_file": options.get("ca_file", ""),
        "route": options.get("route"),
    }
    yield LocalCall(
        "verify",
        restore_check.verify_restored,
        (login, secret, key, old_host),
        "connect, count the rows of every table, find the newest row, check extensions and sequences",
        has_output=True,
    )
    return {}


def _swap_names(scope: Scope, name: str, candidate: str, state: RestoreState) -> Steps:
    """Give the old instance its other name, then its name to the restored one."""
    if state.is_old_at_name:
        replaced_tags = {TAG_REPLACED_BY: f"{scope.owner} {name}"}
        yield _add_tags(scope, name, replaced_tags)
        # Without its owner's tags it is nobody's, so no plan deletes it.
        yield call(
            "rds", "remove_tags_from_resource", ResourceName=modify.build_arn(scope, name), TagKeys=list(OWNERSHIP_TAGS)
        )
        yield _rename(name, state.replaced_name)
        yield _wait_for_name(state.replaced_name)
    elif state.is_old_renamed:
        yield _wait_for_name(state.replaced_name)
    yield _rename(candidate, name)
    return {}


def _finish(scope: Scope, name: str, spec: Mapping[str, Value], state: RestoreState) -> Steps:
    """Mark the restored instance as this environment's, then say that the restore is over."""
    yield _add_tags(
        scope, name, {**modify.build_tags(spec), TAG_RESTORED_FROM: state.point, TAG_REPLACES: state.replaced_name}
    )
    yield call(
        "rds",
        "remove_tags_from_resource",
        ResourceName=modify.build_arn(scope, name),
        TagKeys=[TAG_RESTORE_OF, TAG_REPLACED_BY],
    )
    return {}


def _add_tags(scope: Scope, name: str, tags: Mapping[str, Value]) -> ApiCall:
    return call("rds", "add_tags_to_resource", ResourceName=modify.build_arn(scope, name), Tags=to_aws_tags(tags))


def _rename(name: str, new_name: str) -> ApiCall:
    request = {"DBInstanceIdentifier": name, "NewDBInstanceIdentifier": new_name, "ApplyImmediately": True}
    # RDS frees a name only when its instance has left it.
    retry_codes = (*BUSY_CODES, "DBInstanceAlreadyExists")
    return ApiCall(
        "rds", "modify_db_instance", request, retry_codes=retry_codes, timeout_seconds=RENAME_TIMEOUT_SECONDS
    )


def _wait_for_name(name: str) -> Wait:
    """Wait until an instance of this name is available: after a rename, RDS knows neither name for a while."""
    listing = ApiCall("rds", "describe_db_instances", {"DBInstanceIdentifier": name}, retry_codes=NOT_FOUND_CODES)
    return Wait(
        listing,
        "DBInstances[0].DBInstanceStatus",
        USABLE_STATUSES,
        modify.FAILED_STATUSES,
        timeout_seconds=RENAME_TIMEOUT_SECONDS,
        stuck_hint=f"Check the events of {name} in RDS. The next run continues from there.",
        description=f"{name}",
    )


def _options(spec: Mapping[str, Value]) -> Mapping[str, Any]:
    """Return the options of the command; a plan that finishes somebody's restore has none."""
    options = spec.get("restore_options")
    return {} if options is None else dict(options.value)


def _host_of(response: Value) -> Outputs | Value:
    return response["DBInstances"][0]["Endpoint"]["Address"]


def _short_hash(text: str) -> str:
    return hashlib.sha256(text.encode()).hexdigest()[:8]
