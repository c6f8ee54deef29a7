"""Take a snapshot of a database before something that may cost data, and wait for it.

API: RDS DescribeDBSnapshots, CreateDBSnapshot. Both a migration and a change of an instance do this.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, Compute, Steps, Wait, call
from orchestrator.values import Value, join_parts

TIMEOUT_SECONDS = 3600.0
MAX_NAME_LENGTH = 255
_NOT_FOUND_CODES = ("DBSnapshotNotFound", "DBSnapshotNotFoundFault")
_BUSY_CODES = ("InvalidDBInstanceState", "InvalidDBInstanceStateFault")


def create_snapshot(database: str, name: Value, unchanged: str, *, can_exist: bool = False) -> Steps:
    """Create the snapshot ``name`` of an instance and wait until it is available.

    ``unchanged`` ends the advice if it is not, such as "Nothing was migrated."  ``can_exist``: continue with the
    snapshot of this instance that an earlier attempt has created.
    """
    request = {"DBInstanceIdentifier": database, "DBSnapshotIdentifier": name}
    yield ApiCall(
        "rds",
        "create_db_snapshot",
        request,
        exists_codes=("DBSnapshotAlreadyExists",) if can_exist else (),
        read_existing=lambda aws, _: _confirm_own(aws, database, name, unchanged),
        retry_codes=_BUSY_CODES,
        timeout_seconds=1800.0,
    )
    yield Wait(
        call("rds", "describe_db_snapshots", DBSnapshotIdentifier=name),
        "DBSnapshots[0].Status",
        ("available",),
        ("failed",),
        timeout_seconds=TIMEOUT_SECONDS,
        stuck_hint=f"Check the snapshots of {database} in the RDS console. {unchanged}",
        description="the snapshot",
    )
    return {}


def _confirm_own(aws: AwsReader, database: str, name: Value, unchanged: str) -> Mapping[str, Any] | None:
    """Return the existing snapshot, or None if reads do not show it yet.

    Raises Problems if it is of another instance.
    """
    snapshots = aws.all(
        "rds", "describe_db_snapshots", "DBSnapshots", DBSnapshotIdentifier=name, missing=_NOT_FOUND_CODES
    )
    if not snapshots:
        return None
    source = str(snapshots[0].get("DBInstanceIdentifier", ""))
    if source.lower() != database.lower():
        raise Problems.from_message(
            f"the snapshot {name} already exists, but belongs to {source}, not to {database}. {unchanged}",
            hint=(
                f"delete it with `aws rds delete-db-snapshot --db-snapshot-identifier {name}`, then run the command "
                "again"
            ),
        )
    return {"DBSnapshot": snapshots[0]}


def create_new_snapshot(database: str, purpose: str, unchanged: str) -> Steps:
    """Create a snapshot under a name that no snapshot has, and wait until it is available.

    A change may be made, undone and made again: the snapshot of the first time says nothing about the second.
    """
    listing = call("rds", "describe_db_snapshots", DBInstanceIdentifier=database, SnapshotType="manual")
    snapshots = yield listing
    base = snapshot_name(database, purpose)
    number = yield Compute(f"number of {base}, if that name is taken", find_free_suffix, (snapshots, base))
    return (yield from create_snapshot(database, join_parts([base, number]), unchanged))


def snapshot_name(database: str, purpose: str) -> str:
    """Return ``DATABASE-before-PURPOSE`` in the letters, digits and hyphens that RDS allows."""
    text = re.sub(r"[^A-Za-z0-9]+", "-", f"{database}-before-{purpose}")
    return text[: MAX_NAME_LENGTH - len("-000")].strip("-")


def find_free_suffix(response: Mapping[str, Any], base: str) -> str:
    """Return "" if a DescribeDBSnapshots response has no snapshot ``base``, otherwise the next ``-2``, ``-3`` ..."""
    names = {str(item.get("DBSnapshotIdentifier", "")).lower() for item in response.get("DBSnapshots", ())}
    numbers = [1] if base.lower() in names else []
    numbers += [int(number[1]) for name in names if (number := re.fullmatch(re.escape(base.lower()) + r"-(\d+)", name))]
    return f"-{max(numbers) + 1}" if numbers else ""
