"""Take a snapshot of an instance.  API: RDS CreateDBSnapshot, DescribeDBSnapshots."""

from __future__ import annotations

from orchestrator.resources.rds_instance.api_members import BUSY_CODES
from orchestrator.steps import ApiCall, Steps, Wait, call

SNAPSHOT_TIMEOUT_SECONDS = 6 * 3600.0


def take_snapshot(name: str, snapshot: str) -> Steps:
    """Take a snapshot under a new name, and wait until it can be restored."""
    request = {"DBInstanceIdentifier": name, "DBSnapshotIdentifier": snapshot}
    yield ApiCall("rds", "create_db_snapshot", request, retry_codes=BUSY_CODES, timeout_seconds=1800)
    yield Wait(
        call("rds", "describe_db_snapshots", DBSnapshotIdentifier=snapshot),
        "DBSnapshots[0].Status",
        ("available",),
        ("failed",),
        timeout_seconds=SNAPSHOT_TIMEOUT_SECONDS,
        stuck_hint=f"Check the snapshot {snapshot} in RDS.",
        description="the snapshot",
    )
    return {}
