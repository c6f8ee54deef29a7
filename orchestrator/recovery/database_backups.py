"""Read which moments and snapshots a database can be restored to, and choose one. Only reads AWS."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Any

from msgspec import Struct

from orchestrator.ownership_tags import from_aws_tags
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.resources.rds_instance.api_members import TAG_REPLACES, TAG_RESTORED_FROM
from orchestrator.resources.rds_instance.restore import RestorePoint, find_unfinished
from orchestrator.vocabulary import Scope

TIME_FORMATS = ("%Y-%m-%d %H:%M", "%Y-%m-%d %H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H:%M:%S")
BACKUP_NOT_FOUND_CODES = ("DBInstanceNotFound", "DBInstanceNotFoundFault", "DBInstanceAutomatedBackupNotFound")
SNAPSHOT_NOT_FOUND_CODES = ("DBSnapshotNotFound", "DBSnapshotNotFoundFault")


class DatabaseBackups(Struct, frozen=True):
    """The backups of one instance. ``window`` is its restore window, None without automated backups.

    ``source_id`` is the DbiResourceId of the backup. ``snapshots`` are their times by identifier, newest first.
    ``replaced`` is the instance that the newest restore has replaced. ``unfinished`` is the point of a restore in
    progress, ``restored_from`` that of the instance in use, if it was restored.
    """

    name: str
    exists: bool
    source_id: str
    window: tuple[datetime, datetime] | None
    snapshots: Mapping[str, datetime]
    replaced: str = ""
    unfinished: str = ""
    restored_from: str = ""


def read_backups(aws: AwsReader, scope: Scope, name: str) -> DatabaseBackups:
    """Return the backups of the instance called ``name``, which may be gone. Raises AwsError."""
    instances = aws.all("rds", "describe_db_instances", "DBInstances")
    instance = next((item for item in instances if item["DBInstanceIdentifier"] == name), None)
    backups = aws.all(
        "rds",
        "describe_db_instance_automated_backups",
        "DBInstanceAutomatedBackups",
        DBInstanceIdentifier=name,
        missing=BACKUP_NOT_FOUND_CODES,
    )
    source_id = instance["DbiResourceId"] if instance else ""
    usable = [item for item in backups if not source_id or item.get("DbiResourceId") == source_id]
    backup = max(usable, key=lambda item: _latest_of(item) or datetime.min.replace(tzinfo=UTC), default=None)
    unfinished = find_unfinished(instances, scope, name)
    tags = from_aws_tags(instance.get("TagList")) if instance else {}
    names = {item["DBInstanceIdentifier"] for item in instances}
    return DatabaseBackups(
        name,
        instance is not None or unfinished is not None,
        source_id or (backup or {}).get("DbiResourceId", ""),
        _window_of(backup, instance),
        _read_snapshots(aws, name),
        tags[TAG_REPLACES] if tags.get(TAG_REPLACES) in names else "",
        unfinished.point if unfinished else "",
        "" if unfinished else tags.get(TAG_RESTORED_FROM, ""),
    )


def _read_snapshots(aws: AwsReader, name: str) -> dict[str, datetime]:
    items = aws.all(
        "rds", "describe_db_snapshots", "DBSnapshots", DBInstanceIdentifier=name, missing=SNAPSHOT_NOT_FOUND_CODES
    )
    available = [item for item in items if item.get("Status") == "available"]
    ordered = sorted(available, key=lambda item: item["SnapshotCreateTime"], reverse=True)
    return {item["DBSnapshotIdentifier"]: item["SnapshotCreateTime"] for item in ordered}


def _window_of(
    backup: Mapping[str, Any] | None, instance: Mapping[str, Any] | None
) -> tuple[datetime, datetime] | None:
    """Return the restore window; the instance's own latest time is the more recent one."""
    window = (backup or {}).get("RestoreWindow") or {}
    latest = (instance or {}).get("LatestRestorableTime") or window.get("LatestTime")
    earliest = window.get("EarliestTime") or (instance or {}).get("InstanceCreateTime")
    return (earliest, latest) if latest and earliest else None


def _latest_of(backup: Mapping[str, Any]) -> datetime | None:
    return (backup.get("RestoreWindow") or {}).get("LatestTime")


def parse_time(text: str) -> datetime:
    """Return a moment in UTC: ISO 8601, or ``2026-11-29 14:05``, which is UTC too. Raises Problems."""
    for time_format in TIME_FORMATS:
        try:
            return datetime.strptime(text.strip(), time_format).replace(tzinfo=UTC)
        except ValueError:
            continue
    try:
        moment = datetime.fromisoformat(text.strip())
    except ValueError:
        raise Problems.from_message(
            f"`{text}` is not a valid time",
            hint="write UTC as `2026-11-29 14:05`, or with an offset: 2026-11-29T15:05+01:00",
        ) from None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).astimezone(UTC).replace(microsecond=0)


def format_time(moment: datetime) -> str:
    """Return a moment as people read it, in UTC."""
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


def choose_point(backups: DatabaseBackups, *, to: str, snapshot: str, latest: bool, undo: bool) -> RestorePoint:
    """Return what to restore.

    Raises Problems if nothing or too much is chosen, or the choice is not among the backups.
    """
    chosen = [bool(to), bool(snapshot), latest, undo]
    if backups.unfinished and (not any(chosen) or _is_point(backups.unfinished, to, snapshot, undo=undo)):
        return RestorePoint.parse(backups.unfinished)
    if backups.restored_from and not undo and _is_point(backups.restored_from, to, snapshot, undo=False):
        return RestorePoint.parse(backups.restored_from)
    if backups.unfinished:
        raise Problems.from_message(
            f"a restore of {backups.name} {RestorePoint.parse(backups.unfinished).phrase} has not finished",
            hint="finish that restore first: run the command again without --to, --snapshot, --latest or "
            "--undo; then start the new restore",
        )
    if sum(chosen) != 1:
        raise Problems.from_message(
            "choose one of --to, --snapshot, --latest and --undo", hint=f"can be restored: {describe(backups)}"
        )
    if undo:
        if not backups.replaced:
            raise Problems.from_message(
                f"no restore of {backups.name} can be undone: no replaced instance exists",
                hint=f"can be restored: {describe(backups)}",
            )
        return RestorePoint("instance", backups.replaced)
    if snapshot:
        if snapshot.lower() not in backups.snapshots:
            raise Problems.from_message(
                f"{backups.name} has no available snapshot `{snapshot}`", hint=f"can be restored: {describe(backups)}"
            )
        return RestorePoint("snapshot", snapshot.lower())
    return RestorePoint("time", _choose_time(backups, to).isoformat())


def _is_point(point: str, to: str, snapshot: str, *, undo: bool) -> bool:
    """Return whether a point is the one that is asked for."""
    kind, _, value = point.partition(" ")
    if kind == "instance":
        return undo and not to and not snapshot
    return value == {"time": parse_time(to).isoformat() if to else "", "snapshot": snapshot.lower()}.get(kind)


def _choose_time(backups: DatabaseBackups, to: str) -> datetime:
    if backups.window is None:
        raise Problems.from_message(
            f"{backups.name} has no automated backups, so it cannot be restored to a point in time",
            hint=f"can be restored: {describe(backups)}",
        )
    earliest, latest = backups.window
    moment = parse_time(to) if to else latest
    if moment < earliest and backups.replaced:
        raise Problems.from_message(
            f"{backups.name} is itself a restored instance; its earliest restore time is {format_time(earliest)}",
            hint=f"for an earlier time, go back to {backups.replaced} with --undo, then use --to again",
        )
    if not earliest <= moment <= latest:
        raise Problems.from_message(
            f"{format_time(moment)} is outside the period that RDS can restore",
            hint=f"choose from {format_time(earliest)} to {format_time(latest)}; "
            "newer changes can be restored about 5 minutes after they were made",
        )
    return moment


def describe(backups: DatabaseBackups) -> str:
    """Return in one line what can be restored."""
    parts = []
    if backups.window:
        earliest, latest = backups.window
        parts.append(f"any time from {format_time(earliest)} to {format_time(latest)}")
    parts += [f"snapshot {name} of {format_time(taken)}" for name, taken in list(backups.snapshots.items())[:5]]
    parts += [f"the replaced instance {backups.replaced}"] if backups.replaced else []
    return "; ".join(parts) or "nothing: there is no backup and no snapshot"
