"""Convert an RDS instance description to the form of a spec. Pure."""

from __future__ import annotations

import math
import re
from collections.abc import Mapping
from typing import Any

import jmespath

from orchestrator.ownership_tags import from_aws_tags
from orchestrator.resources._power import describe_exceptions, parse_power
from orchestrator.resources.rds_instance.api_members import (
    APPLY_IMMEDIATELY,
    FIELDS_BY_PENDING_MEMBER,
    SETTINGS,
    TAG_APPLY,
    TAG_CREDENTIALS,
    TAG_LAST_DRILL,
    TAG_RESTORED_FROM,
    TAG_ROTATION,
    USABLE_STATUSES,
)
from orchestrator.resources.rds_instance.drill_result import DrillResult
from orchestrator.values import Value
from orchestrator.vocabulary import POWER_HIBERNATED, Health, PendingChange, UnmanagedChange

Instance = Mapping[str, Any]

HEALTHY_STATUSES = frozenset({"available", "backing-up", "storage-optimization", "storage-initialization"})
FAILED_STATUSES = frozenset({"failed", "storage-full", "restore-error", "stopped"})
FAILED_STATUS_PREFIXES = ("incompatible-", "insufficient-", "inaccessible-")


def parse_spec(instance: Instance, declared: Mapping[str, Value]) -> dict[str, Value]:
    """Return every field of an instance.

    ``declared`` determines the precision of the version, and which pending values count as done.
    """
    live_spec = {key: jmespath.search(setting.live_path, instance) for key, setting in SETTINGS.items()}
    if live_spec["port"] is None:
        live_spec["port"] = instance.get("DbInstancePort") or None
    tags = from_aws_tags(instance.get("TagList"))
    accepted = _select_accepted(instance, live_spec, declared)
    live_spec |= accepted
    if "version" in accepted:  # RDS changes the parameter group too, without listing it as pending
        live_spec["parameter_group"] = declared.get("parameter_group", live_spec["parameter_group"])
    live_spec["version"] = _compare_version(live_spec["version"], declared)
    if declared.get("storage_max_gb") is None and not _is_growing(instance):
        live_spec["storage_max_gb"] = None
    if "storage_gb" not in accepted:
        live_spec["storage_gb"] = _compare_storage(live_spec["storage_gb"], declared)
    secret, _, key = tags.get(TAG_CREDENTIALS, "").partition(" ")
    return {
        **live_spec,
        "ready": bool(jmespath.search("Endpoint.Address", instance)),
        "apply": tags.get(TAG_APPLY),
        "restored_from": tags.get(TAG_RESTORED_FROM),
        "unfinished_restore": None,
        "power": parse_instance_power(instance),
        "credentials": {
            "managed": bool(instance.get("MasterUserSecret")),
            "secret": secret or None,
            "key": key or None,
            "rotation": tags.get(TAG_ROTATION, ""),
        },
        "tags": tags,
    }


def parse_outputs(instance: Value) -> dict[str, Value]:
    """Return the outputs of an instance, which may be unknown; without ``host`` while it has no host name."""
    if not isinstance(instance, Mapping):
        return {"host": instance["Endpoint"]["Address"]}
    host = jmespath.search("Endpoint.Address", instance)
    return {"arn": instance["DBInstanceArn"], **({"host": host} if host else {})}


def parse_private(instance: Instance) -> dict[str, Any]:
    """Return what update and delete need to know about the live instance."""
    return {
        "identifier": instance["DBInstanceIdentifier"],
        "status": instance.get("DBInstanceStatus", ""),
        "pending": parse_pending(instance),
        "storage_gb": instance.get("AllocatedStorage", 0),
        "version": instance.get("EngineVersion", ""),
        "resource_id": instance.get("DbiResourceId", ""),
        "managed_secret": jmespath.search("MasterUserSecret.SecretArn", instance),
        "last_drill": parse_last_drill(instance),
        **describe_exceptions(from_aws_tags(instance.get("TagList")), is_running=_is_running(instance)),
        "current": {key: jmespath.search(SETTINGS[key].live_path, instance) for key in parse_pending(instance)},
    }


def parse_last_drill(instance: Instance) -> DrillResult | None:
    """Return how the last drill of the backups ended, or None."""
    return DrillResult.parse(from_aws_tags(instance.get("TagList")).get(TAG_LAST_DRILL, ""))


def parse_pending(instance: Instance) -> dict[str, Value]:
    """Return the values that fields will have after the maintenance window."""
    pending = instance.get("PendingModifiedValues") or {}
    return {
        FIELDS_BY_PENDING_MEMBER[member]: value
        for member, value in pending.items()
        if member in FIELDS_BY_PENDING_MEMBER and value is not None
    }


def list_pending(instance: Instance) -> tuple[PendingChange, ...]:
    """Return the changes that RDS makes later: in the maintenance window, now, or at the next restart."""
    is_idle = instance.get("DBInstanceStatus") in USABLE_STATUSES
    window = f"in the maintenance window {instance.get('PreferredMaintenanceWindow', '')}".strip()
    changes = [
        PendingChange(key, jmespath.search(SETTINGS[key].live_path, instance), value, window if is_idle else "now")
        for key, value in sorted(parse_pending(instance).items())
    ]
    group = jmespath.search("DBParameterGroups[0]", instance) or {}
    if group.get("ParameterApplyStatus") == "pending-reboot":
        name = group["DBParameterGroupName"]
        changes.append(PendingChange("parameters", None, f"static parameters of {name}", "at the next restart"))
    return tuple(changes)


def list_unmanaged(instance: Instance, declared: Mapping[str, Value]) -> tuple[UnmanagedChange, ...]:
    """Return storage that was enlarged by hand: it cannot shrink, so only the manifest can follow."""
    size, declared_gb = instance.get("AllocatedStorage"), declared.get("storage_gb")
    if not isinstance(size, int) or not isinstance(declared_gb, int) or not _is_enlarged(size, declared):
        return ()
    remedy = f"Storage cannot shrink. To accept the growth, set `storage.sizeGb: {size}`."
    return (UnmanagedChange("storage_gb", declared_gb, size, remedy),)


def is_upgraded_by_aws(version: str, declared: Mapping[str, Value]) -> bool:
    """Return whether AWS has raised the minor version beyond the declared one, as ``minor_upgrades`` allows."""
    pinned = declared.get("version")
    if declared.get("minor_upgrades") is not True or not isinstance(pinned, str):
        return False
    live_parts, pinned_parts = parse_version(version), parse_version(pinned)
    return live_parts[:1] == pinned_parts[:1] and live_parts[: len(pinned_parts)] > pinned_parts


def parse_version(version: str) -> tuple[int, ...]:
    """Return the numbers of a PostgreSQL version: ``16.10`` sorts after ``16.9``."""
    return tuple(int(part) for part in re.findall(r"\d+", version))


def matches(field: str, declared: Value, value: Value) -> bool:
    """Return whether a live ``value`` is what a manifest declares; versions are compared as precisely as declared."""
    return bool(declared == (_truncate_version(value, declared) if field == "version" else value))


def parse_instance_power(instance: Instance) -> str:
    """Return whether the instance runs; one that is starting does, and does not answer yet."""
    return parse_power(from_aws_tags(instance.get("TagList")), is_running=_is_running(instance))


def _is_running(instance: Instance) -> bool:
    return instance.get("DBInstanceStatus") not in ("stopped", "stopping")


def parse_health(instance: Instance) -> Health:
    """Return the health that a DBInstanceStatus means; the status is free text."""
    status = instance.get("DBInstanceStatus", "")
    if status == "stopped" and parse_instance_power(instance) == POWER_HIBERNATED:
        return Health.HEALTHY
    if status in FAILED_STATUSES or status.startswith(FAILED_STATUS_PREFIXES):
        return Health.FAILED
    return Health.HEALTHY if status in HEALTHY_STATUSES else Health.PROGRESSING


def format_status(instance: Instance, declared: Mapping[str, Value]) -> str:
    """Return one line: RDS's status, an upgrade by AWS, grown storage, and the last drill of the backups."""
    status = str(instance.get("DBInstanceStatus", "unknown"))
    is_asleep = status == "stopped" and parse_instance_power(instance) == POWER_HIBERNATED
    parts = [POWER_HIBERNATED if is_asleep else status]
    if is_upgraded_by_aws(version := str(instance.get("EngineVersion", "")), declared):
        parts.append(f"AWS upgraded {declared['version']} to {version}, as minorUpgrades allows")
    size, declared_gb = instance.get("AllocatedStorage", 0), declared.get("storage_gb")
    if isinstance(declared_gb, int) and size > declared_gb:
        parts.append(f"storage grew to {size} GB")
    if drill := parse_last_drill(instance):
        minutes = -(-drill.seconds // 60)
        parts.append(f"restore drill of {drill.at:%Y-%m-%d} {drill.verdict}, {minutes} min to recover")
    return "; ".join(parts)


def _truncate_version(version: Value, declared: Value) -> Value:
    """Return the version with the declared precision, because AWS upgrades minor versions: ``16.4`` matches ``16``."""
    if not isinstance(version, str) or not isinstance(declared, str):
        return version
    return ".".join(version.split(".")[: len(declared.split("."))])


def _compare_version(version: Value, declared: Mapping[str, Value]) -> Value:
    """Return the version as precisely as declared, or the declared one if AWS has raised it within the pin."""
    if isinstance(version, str) and is_upgraded_by_aws(version, declared):
        return declared["version"]
    return _truncate_version(version, declared.get("version"))


def _select_accepted(
    instance: Instance, current: Mapping[str, Value], declared: Mapping[str, Value]
) -> dict[str, Value]:
    """Return the pending values that count as live.

    A declared value that is pending counts as done, unless the manifest applies changes immediately and RDS is idle:
    then nobody is making it.  A pending value that is not declared counts too, because RDS will make it so.
    """
    is_stuck = declared.get("apply") == APPLY_IMMEDIATELY and instance.get("DBInstanceStatus") in USABLE_STATUSES
    return {
        key: value
        for key, value in parse_pending(instance).items()
        if not (is_stuck and key in declared and matches(key, declared[key], value))
        or matches(key, declared[key], current[key])
    }


def _compare_storage(size: Value, declared: Mapping[str, Value]) -> Value:
    """Return the declared size if storage has grown beyond it: storage never shrinks, so no call could change it."""
    declared_gb = declared.get("storage_gb")
    is_grown = isinstance(size, int) and isinstance(declared_gb, int) and size > declared_gb
    return declared_gb if is_grown else size


def _is_growing(instance: Instance) -> bool:
    """Return whether RDS grows the storage: a maximum equal to the size switches that off (ModifyDBInstance)."""
    return int(instance.get("MaxAllocatedStorage") or 0) > int(instance.get("AllocatedStorage") or 0)


def _is_enlarged(size: int, declared: Mapping[str, Value]) -> bool:
    """Return whether somebody enlarged it: RDS itself rounds growth up to 10 %, and grows to ``storage_max_gb``."""
    limit = declared.get("storage_max_gb")
    allowed = limit if isinstance(limit, int) else math.ceil(int(str(declared["storage_gb"])) * 1.1)
    return size > allowed
