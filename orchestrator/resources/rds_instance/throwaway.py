"""Restore a database to a throwaway instance, which proves that its backups work, and remove it.

API: RestoreDBInstanceToPointInTime, RestoreDBInstanceFromDBSnapshot, ModifyDBInstance, DeleteDBInstance.

The throwaway has a tag that names its database, and no owner's tags: no plan adopts or deletes it. It keeps no backups,
so deleting it leaves nothing. What a killed drill left is found by that tag.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, to_aws_tags
from orchestrator.resources.rds_instance import modify, restore
from orchestrator.resources.rds_instance.api_members import (
    BUSY_CODES,
    NOT_FOUND_CODES,
    TAG_DRILL_OF,
    TAG_LAST_DRILL,
)
from orchestrator.resources.rds_instance.drill_result import DrillResult
from orchestrator.resources.rds_instance.restore import MAX_BASE_LENGTH, RestorePoint
from orchestrator.steps import ApiCall, GenerateSecret, Steps, Wait, call
from orchestrator.values import Value
from orchestrator.vocabulary import Scope

PASSWORD_LENGTH = 32
DELETION_TIMEOUT_SECONDS = 3600.0
THROWAWAY_SPEC: Mapping[str, Value] = {
    "deletion_protection": False,
    "backup_retention_days": 0,
    "multi_az": False,
    "logs": [],
    "copy_tags_to_snapshots": False,
    "availability_zone": None,
}
"""What a throwaway does not have in common with its database: what costs money, or keeps it from being deleted."""


def find_throwaways(instances: Iterable[Mapping[str, Any]], scope: Scope, name: str) -> tuple[str, ...]:
    """Return the throwaway instances of a database that exist: of a drill that runs now, or was killed.

    Tag and name have to agree: a tag alone is quickly copied to an instance that somebody needs.
    """
    return tuple(
        identifier
        for item in instances
        if (identifier := str(item["DBInstanceIdentifier"])).startswith(_name_prefix(name))
        and from_aws_tags(item.get("TagList")).get(TAG_DRILL_OF) == _mark(scope, name)
    )


def throwaway_name(name: str, resource_id: str) -> str:
    """Return the name of the throwaway: the same for every drill of an instance."""
    short_hash = hashlib.sha256(resource_id.encode()).hexdigest()[:8]
    return f"{_name_prefix(name)}{short_hash}"


def restore_throwaway(
    scope: Scope, name: str, throwaway: str, live_spec: Mapping[str, Value], point: RestorePoint
) -> Steps:
    """Restore ``point`` of the instance ``name``, and return ``host`` and a ``password`` that nobody else has."""
    spec = {**live_spec, **THROWAWAY_SPEC}
    tags = {TAG_DRILL_OF: _mark(scope, name)}
    yield from restore.restore_instance(scope, throwaway, spec, point, tags, source=name)
    yield modify.wait_until_available(throwaway, timeout_seconds=restore.RESTORE_TIMEOUT_SECONDS)
    password = yield GenerateSecret(PASSWORD_LENGTH)
    request = {"DBInstanceIdentifier": throwaway, "MasterUserPassword": password, "ApplyImmediately": True}
    yield ApiCall("rds", "modify_db_instance", request, retry_codes=BUSY_CODES, timeout_seconds=1800)
    response = yield modify.wait_until_available(throwaway, ("MasterUserPassword",))
    return {"host": response["DBInstances"][0]["Endpoint"]["Address"], "password": password}


def upgrade_throwaway(throwaway: str, version: str) -> Steps:
    """Upgrade a throwaway in place to a major version, with that version's default parameters."""
    major = version.partition(".")[0]
    request = {
        "DBInstanceIdentifier": throwaway,
        "EngineVersion": version,
        "DBParameterGroupName": f"default.postgres{major}",
        "AllowMajorVersionUpgrade": True,
        "ApplyImmediately": True,
    }
    yield ApiCall("rds", "modify_db_instance", request, retry_codes=BUSY_CODES, timeout_seconds=1800)
    yield modify.wait_until_available(throwaway, ("EngineVersion",), timeout_seconds=restore.RESTORE_TIMEOUT_SECONDS)
    return {}


def remove_throwaway(throwaway: str) -> Steps:
    """Delete a throwaway, which has no data of its own, and wait until it is gone."""
    yield ApiCall(
        "rds",
        "delete_db_instance",
        {"DBInstanceIdentifier": throwaway, "SkipFinalSnapshot": True, "DeleteAutomatedBackups": True},
        ok_codes=(*NOT_FOUND_CODES, *(f"{code}: is already being deleted" for code in BUSY_CODES)),
        retry_codes=BUSY_CODES,
        timeout_seconds=restore.RESTORE_TIMEOUT_SECONDS,
    )
    listing = ApiCall("rds", "describe_db_instances", {"DBInstanceIdentifier": throwaway})
    yield Wait(
        listing,
        "DBInstances[0].DBInstanceStatus",
        deleted_codes=NOT_FOUND_CODES,
        timeout_seconds=DELETION_TIMEOUT_SECONDS,
        stuck_hint=f"Check the events of {throwaway} in RDS. The next drill removes it.",
    )
    return {}


def record_result(scope: Scope, name: str, result: DrillResult) -> ApiCall:
    """Return the call that keeps the result as a tag of the database's instance."""
    arn = modify.build_arn(scope, name)
    return call("rds", "add_tags_to_resource", ResourceName=arn, Tags=to_aws_tags({TAG_LAST_DRILL: str(result)}))


def _mark(scope: Scope, name: str) -> str:
    return f"{scope.owner} {name}"


def _name_prefix(name: str) -> str:
    return f"{name[:MAX_BASE_LENGTH].rstrip('-')}-drill-"
