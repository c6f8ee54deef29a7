"""An instance as RDS describes it, in the shape of a desired one.  Pure."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import jmespath

from orchestrator.ownership_tags import mapping
from orchestrator.resources.rds_instance.api_members import PENDING, SETTINGS, TAG_APPLY, TAG_CREDENTIALS
from orchestrator.values import Value
from orchestrator.vocabulary import Health

Instance = Mapping[str, Any]

WELL = frozenset({"available", "backing-up", "storage-optimization", "storage-initialization"})
FAILED = frozenset({"failed", "storage-full", "restore-error", "stopped", "inaccessible-encryption-credentials"})


def spec_of(instance: Instance, declared: Mapping[str, Value]) -> dict[str, Value]:
    """Every field.  ``declared`` decides how exact the version is, and whether grown storage is a surplus."""
    found = {key: jmespath.search(setting.live, instance) for key, setting in SETTINGS.items()}
    if found["port"] is None:
        found["port"] = instance.get("DbInstancePort") or None
    found |= pending_of(instance)
    if "version" in pending_of(instance):  # its parameter group comes with it, and is not told to be pending
        found["parameter_group"] = declared.get("parameter_group", found["parameter_group"])
    found["version"] = _as_exact(found["version"], declared.get("version"))
    found |= _storage(found["storage_gb"], declared)
    tags = mapping(instance.get("TagList"))
    secret, _, key = tags.get(TAG_CREDENTIALS, "").partition(" ")
    return {
        **found,
        "ready": bool(jmespath.search("Endpoint.Address", instance)),
        "apply": tags.get(TAG_APPLY),
        "credentials": {
            "managed": bool(instance.get("MasterUserSecret")),
            "secret": secret or None,
            "key": key or None,
        },
        "tags": tags,
    }


def outputs_of(instance: Value) -> dict[str, Value]:
    """What others refer to; there is no host before there is an address.  ``instance`` may be unknown."""
    if not isinstance(instance, Mapping):
        return {"host": instance["Endpoint"]["Address"]}
    host = jmespath.search("Endpoint.Address", instance)
    return {"arn": instance["DBInstanceArn"], **({"host": host} if host else {})}


def private_of(instance: Instance) -> dict[str, Any]:
    """What changing and deleting it need to know."""
    return {
        "status": instance.get("DBInstanceStatus", ""),
        "pending": pending_of(instance),
        "storage_gb": instance.get("AllocatedStorage", 0),
        "version": instance.get("EngineVersion", ""),
        "resource_id": instance.get("DbiResourceId", ""),
    }


def pending_of(instance: Instance) -> dict[str, Value]:
    """Fields with the values that they will have after the maintenance window."""
    pending = instance.get("PendingModifiedValues") or {}
    return {PENDING[member]: value for member, value in pending.items() if member in PENDING and value is not None}


def health_of(instance: Instance) -> Health:
    """What DBInstanceStatus, a free text, means."""
    status = instance.get("DBInstanceStatus", "")
    if status in FAILED or status.startswith(("incompatible-", "insufficient-")):
        return Health.FAILED
    return Health.HEALTHY if status in WELL else Health.PROGRESSING


def status_of(instance: Instance, declared: Mapping[str, Value]) -> str:
    """One line: RDS's word, what waits for the maintenance window, what waits for a restart, what grew by itself."""
    said = [str(instance.get("DBInstanceStatus", "unknown"))]
    pending = [f"{key} {value}" for key, value in sorted(pending_of(instance).items())]
    if pending:
        said.append(
            f"{', '.join(pending)} from the maintenance window {instance.get('PreferredMaintenanceWindow', '')} on"
        )
    if jmespath.search("DBParameterGroups[0].ParameterApplyStatus", instance) == "pending-reboot":
        said.append("parameters wait for a restart")
    size, wanted = instance.get("AllocatedStorage", 0), declared.get("storage_gb")
    if isinstance(wanted, int) and size > wanted:
        said.append(f"storage has grown to {size} GB")
    return "; ".join(said)


def _as_exact(version: Value, declared: Value) -> Value:
    """AWS upgrades minor versions by itself: ``16.4`` is ``16`` to who declared ``16``."""
    if not isinstance(version, str) or not isinstance(declared, str):
        return version
    return ".".join(version.split(".")[: len(declared.split("."))])


def _storage(size: Value, declared: Mapping[str, Value]) -> dict[str, Value]:
    """Storage never shrinks.  RDS rounds small growth up to 10 %; with ``storage_max_gb`` it grows by itself."""
    wanted = declared.get("storage_gb")
    if not isinstance(size, int) or not isinstance(wanted, int) or size <= wanted:
        return {"surplus_gb": 0}
    if declared.get("storage_max_gb") or size <= math.ceil(wanted * 1.1):
        return {"surplus_gb": 0, "storage_gb": wanted}
    return {"surplus_gb": size - wanted}
