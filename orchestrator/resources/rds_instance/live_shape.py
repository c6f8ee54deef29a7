"""Convert an RDS instance description to the form of a spec. Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jmespath

from orchestrator.ownership_tags import from_aws_tags
from orchestrator.resources.rds_instance.api_members import (
    FIELDS_BY_PENDING_MEMBER,
    SETTINGS,
    TAG_APPLY,
    TAG_CREDENTIALS,
)
from orchestrator.values import Value
from orchestrator.vocabulary import Health

Instance = Mapping[str, Any]

HEALTHY_STATUSES = frozenset({"available", "backing-up", "storage-optimization", "storage-initialization"})
FAILED_STATUSES = frozenset(
    {"failed", "storage-full", "restore-error", "stopped", "inaccessible-encryption-credentials"}
)


def parse_spec(instance: Instance, declared: Mapping[str, Value]) -> dict[str, Value]:
    """Return every field of an instance.

    ``declared`` determines the precision of the version, and whether grown storage is a surplus.
    """
    live_spec = {key: jmespath.search(setting.live_path, instance) for key, setting in SETTINGS.items()}
    if live_spec["port"] is None:
        live_spec["port"] = instance.get("DbInstancePort") or None
    live_spec |= parse_pending(instance)
    if "version" in parse_pending(instance):  # RDS changes the parameter group too, without listing it as pending
        live_spec["parameter_group"] = declared.get("parameter_group", live_spec["parameter_group"])
    live_spec["version"] = _truncate_version(live_spec["version"], declared.get("version"))
    live_spec |= _compare_storage(live_spec["storage_gb"], declared)
    tags = from_aws_tags(instance.get("TagList"))
    secret, _, key = tags.get(TAG_CREDENTIALS, "").partition(" ")
    return {
        **live_spec,
        "ready": bool(jmespath.search("Endpoint.Address", instance)),
        "apply": tags.get(TAG_APPLY),
        "credentials": {
            "managed": bool(instance.get("MasterUserSecret")),
            "secret": secret or None,
            "key": key or None,
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
        "status": instance.get("DBInstanceStatus", ""),
        "pending": parse_pending(instance),
        "storage_gb": instance.get("AllocatedStorage", 0),
        "version": instance.get("EngineVersion", ""),
        "resource_id": instance.get("DbiResourceId", ""),
    }


def parse_pending(instance: Instance) -> dict[str, Value]:
    """Return the values that fields will have after the maintenance window."""
    pending = instance.get("PendingModifiedValues") or {}
    return {
        FIELDS_BY_PENDING_MEMBER[member]: value
        for member, value in pending.items()
        if member in FIELDS_BY_PENDING_MEMBER and value is not None
    }


def parse_health(instance: Instance) -> Health:
    """Return the health that a DBInstanceStatus means; the status is free text."""
    status = instance.get("DBInstanceStatus", "")
    if status in FAILED_STATUSES or status.startswith(("incompatible-", "insufficient-")):
        return Health.FAILED
    return Health.HEALTHY if status in HEALTHY_STATUSES else Health.PROGRESSING


def format_status(instance: Instance, declared: Mapping[str, Value]) -> str:
    """Return one line: RDS's status, pending changes, parameters pending a restart, and grown storage."""
    parts = [str(instance.get("DBInstanceStatus", "unknown"))]
    pending = [f"{key} {value}" for key, value in sorted(parse_pending(instance).items())]
    if pending:
        parts.append(
            f"{', '.join(pending)} pending until maintenance window {instance.get('PreferredMaintenanceWindow', '')}"
        )
    if jmespath.search("DBParameterGroups[0].ParameterApplyStatus", instance) == "pending-reboot":
        parts.append("parameters pending until restart")
    size, declared_gb = instance.get("AllocatedStorage", 0), declared.get("storage_gb")
    if isinstance(declared_gb, int) and size > declared_gb:
        parts.append(f"storage grew to {size} GB")
    return "; ".join(parts)


def _truncate_version(version: Value, declared: Value) -> Value:
    """Return the version with the declared precision, because AWS upgrades minor versions: ``16.4`` matches ``16``."""
    if not isinstance(version, str) or not isinstance(declared, str):
        return version
    return ".".join(version.split(".")[: len(declared.split("."))])


def _compare_storage(size: Value, declared: Mapping[str, Value]) -> dict[str, Value]:
    """Return storage fields that tolerate growth up to the allowed limit; storage never shrinks.

    RDS rounds small growth up to 10 %; with ``storage_max_gb`` storage grows automatically.
    """
    declared_gb = declared.get("storage_gb")
    if not isinstance(size, int) or not isinstance(declared_gb, int) or size <= declared_gb:
        return {"surplus_gb": 0}
    if declared.get("storage_max_gb") or size <= math.ceil(declared_gb * 1.1):
        return {"surplus_gb": 0, "storage_gb": declared_gb}
    return {"surplus_gb": size - declared_gb}
