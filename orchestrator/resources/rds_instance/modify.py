"""Build the API calls that create and change an RDS instance. Pure: builds steps, yields none."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from msgspec import Struct

from orchestrator.resources._database_snapshot import find_free_suffix, snapshot_name
from orchestrator.resources.rds_instance.api_members import (
    APPLY_IMMEDIATELY,
    BUSY_CODES,
    DEFERRABLE_FIELDS,
    OUTAGE_FIELDS,
    SETTINGS,
    STORAGE_FIELDS,
    TAG_APPLY,
    TAG_CREDENTIALS,
    TAG_ROTATION,
    USABLE_STATUSES,
)
from orchestrator.resources.rds_instance.live_shape import matches
from orchestrator.steps import ApiCall, Wait
from orchestrator.values import Value, join_parts
from orchestrator.vocabulary import LiveResource, Scope

FAILED_STATUSES = (
    "failed",
    "incompatible-network",
    "incompatible-parameters",
    "incompatible-option-group",
    "storage-full",
)
PENDING_MEMBER_NAMES = {"DBPortNumber": "Port", "EnableIAMDatabaseAuthentication": "IAMDatabaseAuthenticationEnabled"}
"""Members of ModifyDBInstance that have another name in PendingModifiedValues."""


class Modification(Struct, frozen=True):
    """One ModifyDBInstance call, and the members of PendingModifiedValues that must disappear before it is done.

    ``snapshot_purpose`` names the snapshot to take before it; "" if it needs none.
    """

    call: ApiCall
    pending_members: tuple[str, ...]
    snapshot_purpose: str = ""


def build_create_request(name: str, spec: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parameters of CreateDBInstance without password and tags."""
    members = {
        SETTINGS[key].create_member: value for key, value in spec.items() if key in SETTINGS and value is not None
    }
    return {"DBInstanceIdentifier": name, **members}


def build_modification(
    name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]
) -> Modification | None:
    """Return the ModifyDBInstance call for the changed fields, or None if it is not needed.

    ``ApplyImmediately`` applies every pending change, not only this call's. So it is set if the manifest asks for it,
    or for changes without an outage as long as no change with an outage is pending or included.
    """
    withdrawn = withdrawn_fields(spec, live, changed)
    pending = {key: value for key, value in live.private.get("pending", {}).items() if key not in withdrawn}
    fields = {field for field in changed - withdrawn if field in SETTINGS}
    fields |= fields & STORAGE_FIELDS and STORAGE_FIELDS & spec.keys()
    is_immediate_mode = spec.get("apply") == APPLY_IMMEDIATELY
    if withdrawn or (is_immediate_mode and changed & {"apply"}):
        fields |= pending.keys()
    pending_fields = pending.keys()
    request = _build_modify_request(fields, {**pending, **spec}, live)
    if not request:
        return None
    apply_immediately = is_immediate_mode or (
        bool(fields & DEFERRABLE_FIELDS) and not (fields | pending_fields) & OUTAGE_FIELDS
    )
    pending_members = (
        tuple(sorted(PENDING_MEMBER_NAMES.get(member, member) for member in request)) if apply_immediately else ()
    )
    request |= {"DBInstanceIdentifier": name, "ApplyImmediately": apply_immediately}
    purpose = snapshot_purpose({field: {**pending, **spec}[field] for field in fields}, live)
    return Modification(
        ApiCall("rds", "modify_db_instance", request, retry_codes=BUSY_CODES, timeout_seconds=1800),
        pending_members,
        purpose,
    )


def snapshot_purpose(values: Mapping[str, Value], live: LiveResource) -> str:
    """Return what a snapshot is taken for before fields get ``values``, or "" if it needs none.

    A major version cannot go back; another class moves the instance to another machine.  RDS takes a snapshot of its
    own only before an upgrade of an instance with automated backups.
    """
    version = values.get("version")
    if version and _major_version(version) != _major_version(live.private.get("version", "")):
        return f"version-{version}"
    return f"class-{values['instance_class']}" if values.get("instance_class") else ""


def next_snapshot_name(name: str, version: str, snapshots: list[Any]) -> str:
    """Return the name of the snapshot before an upgrade to ``version``, as DescribeDBSnapshots lists the others."""
    base = snapshot_name(name, f"version-{version}")
    return base + find_free_suffix({"DBSnapshots": snapshots}, base)


def withdrawn_fields(spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> frozenset[str]:
    """Return the changed fields whose pending change is not wanted any more: the manifests want the present value."""
    current = live.private.get("current", {})
    return frozenset(field for field in changed & current.keys() if matches(field, spec[field], current[field]))


def build_withdrawal(
    name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]
) -> Modification | None:
    """Return the call that takes back every pending change, or None if all of them are wanted.

    RDS reverts a pending change only with ``ApplyImmediately``, which also applies all others.  So this call sets all
    of them to their present values, and the next one queues those again that are wanted.
    Source: RDS User Guide, "Using the schedule modifications setting".
    """
    if not withdrawn_fields(spec, live, changed):
        return None
    current = live.private["current"]
    members = {member: value for key, value in current.items() if (member := SETTINGS[key].modify_member)}
    request = {**members, "DBInstanceIdentifier": name, "ApplyImmediately": True}
    pending_members = tuple(sorted(PENDING_MEMBER_NAMES.get(member, member) for member in members))
    return Modification(
        ApiCall("rds", "modify_db_instance", request, retry_codes=BUSY_CODES, timeout_seconds=1800), pending_members
    )


def wait_until_available(name: str, pending_members: tuple[str, ...] = (), timeout_seconds: float = 3600.0) -> Wait:
    """Wait until the instance is usable and ``pending_members`` are applied.

    RDS also reports ``available`` before it starts a modification.
    """
    status = "DBInstances[0].DBInstanceStatus"
    pending_paths = [f"DBInstances[0].PendingModifiedValues.{member}" for member in pending_members]
    path = f"not_null({', '.join(pending_paths)}) != `null` && 'modifying' || {status}" if pending_paths else status
    listing = ApiCall("rds", "describe_db_instances", {"DBInstanceIdentifier": name})
    hint = f"Check the events of {name} in RDS. The next run continues from there."
    return Wait(
        listing,
        path,
        USABLE_STATUSES,
        FAILED_STATUSES,
        timeout_seconds=timeout_seconds,
        stuck_hint=hint,
        description="the instance status",
    )


def build_tags(spec: Mapping[str, Value]) -> dict[str, Value]:
    """Return the spec's tags and the fields that RDS stores nowhere else."""
    setting_tags: dict[str, Value] = {TAG_APPLY: spec["apply"]} if spec.get("apply") else {}
    credentials = spec["credentials"]
    if credentials.get("secret") is not None:
        setting_tags[TAG_CREDENTIALS] = join_parts([credentials["secret"], " ", credentials["key"]])
        if credentials.get("rotation", "") != "":
            setting_tags[TAG_ROTATION] = credentials["rotation"]
    return {**spec.get("tags", {}), **setting_tags}


def build_arn(scope: Scope, name: str) -> str:
    """Return the ARN, which is final before the instance exists."""
    return f"arn:aws:rds:{scope.region}:{scope.account}:db:{name}"


def _build_modify_request(fields: set[str], spec: Mapping[str, Value], live: LiveResource) -> dict[str, Value]:
    request: dict[str, Value] = {}
    for field in sorted(fields):
        if (member := SETTINGS[field].modify_member) is not None and spec[field] is not None:
            request[member] = spec[field]
    if "storage_gb" in fields:  # autoscaling may have grown it, and storage cannot shrink
        request["AllocatedStorage"] = max(spec["storage_gb"], live.private.get("storage_gb", 0))
    if "storage_max_gb" in fields and spec["storage_max_gb"] is None and live.spec.get("storage_max_gb"):
        request["MaxAllocatedStorage"] = max(spec["storage_gb"], live.private.get("storage_gb", 0))
    if "version" in fields and _major_version(spec["version"]) != _major_version(live.private.get("version", "")):
        request["AllowMajorVersionUpgrade"] = True
    if "logs" in fields:
        live_logs = live.spec.get("logs") or []
        enable = [log for log in spec["logs"] if log not in live_logs]
        disable = [log for log in live_logs if log not in spec["logs"]]
        request["CloudwatchLogsExportConfiguration"] = {"EnableLogTypes": enable, "DisableLogTypes": disable}
    return request


def is_upgrade_deferred(spec: Mapping[str, Value], live: LiveResource) -> bool:
    """Return whether the instance waits for its maintenance window to get a new major version and parameter group."""
    version = spec.get("version")
    return (
        spec.get("apply") != APPLY_IMMEDIATELY
        and isinstance(version, str)
        and _major_version(version) != _major_version(live.private.get("version", ""))
    )


def _major_version(version: str) -> str:
    return version.partition(".")[0]
