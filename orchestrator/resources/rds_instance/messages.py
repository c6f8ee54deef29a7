"""Describe the effects of a change to an RDS instance, and what to check if it is unhealthy."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import date

from orchestrator.quantities import format_count
from orchestrator.resources._database_snapshot import snapshot_name
from orchestrator.resources.rds_instance.api_members import APPLY_IMMEDIATELY, NO_SNAPSHOT_STATUSES, STORAGE_FIELDS
from orchestrator.resources.rds_instance.drill_result import FAILED, DrillResult
from orchestrator.resources.rds_instance.live_shape import matches, parse_version
from orchestrator.resources.rds_instance.modify import snapshot_purpose
from orchestrator.resources.rds_instance.restore import RestorePoint
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import POWER_HIBERNATED, POWER_STOPPED, FieldChange, LiveResource

Fields = Mapping[str, FieldChange]


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """Yield one sentence for each effect on the users of the database."""
    current = live.private.get("current", {})
    withdrawn = [item for item in fields if _is_withdrawn(item, current)]
    for item in withdrawn:
        yield f"Cancels the pending change of {item.path[0]} to {item.before}; the value stays {item.after}. No outage."
    changed = {field.path[0]: field for field in fields if field not in withdrawn}
    timing = _describe_timing(changed, live)
    if changed.keys() & {"restored_from", "unfinished_restore"}:
        yield from _restore_effects(changed)
        return
    for list_effects in (_power_effects, _outage_effects, _storage_effects, _backup_effects, _other_effects):
        yield from list_effects(changed, timing)
    if purpose := snapshot_purpose({name: field.after for name, field in changed.items()}, live):
        name = snapshot_name(str(live.private.get("identifier") or "the database"), purpose)
        numbering = "with a number if that name is taken"
        yield f"A snapshot is created first, named {name} ({numbering}), and kept until you delete it."
    pending = {key: value for key, value in live.private.get("pending", {}).items() if key not in changed}
    if pending and timing == IMMEDIATE_TEXT and "apply" in changed:
        yield f"Changes pending for the maintenance window are applied now: {', '.join(sorted(pending))}."


def adoption_losses(spec: Mapping[str, Value], live: LiveResource) -> Iterator[str]:
    """Yield the master password, which the first apply sets to a new one."""
    declared = spec.get("credentials", {})
    if any(live.spec["credentials"].get(key) != value for key, value in declared.items() if key in ("managed", "key")):
        yield "the current master password, which clients use"


def losses(live: LiveResource) -> Iterator[str]:
    """Yield what a deletion loses that others keep."""
    status = str(live.private.get("status", ""))
    if status in NO_SNAPSHOT_STATUSES:
        yield (
            f"The instance is {status}: RDS deletes it only without a final snapshot. Its automated backups are kept "
            "for their retention period."
        )


def refusals(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """Yield why RDS would refuse the changes: it modifies no stopped instance, and no version can go back.

    A restore may: the snapshot's version is that of another instance, which takes the name.
    """
    changed = {field.path[0]: field for field in fields}
    current = live.private.get("current", {})
    if live.private.get("status") == "stopped" and changed.keys() - TAG_FIELDS and "power" not in changed:
        yield f"RDS cannot change a stopped database. {HINTS_BY_STATUS['stopped']}"
    version = changed.get("version")
    is_restore = bool(changed.keys() & {"restored_from", "unfinished_restore"})
    if version is None or is_restore or _is_withdrawn(version, current):
        return
    live_version, wanted = str(live.private.get("version", "")), parse_version(str(version.after))
    if parse_version(live_version)[: len(wanted)] > wanted:
        yield (
            f"RDS cannot go back from version {live_version} to {version.after}. Set `version` to {live_version} or "
            "newer. To go back, restore a snapshot of the older version with `orchestrator restore database`."
        )


def _is_withdrawn(field: FieldChange, current: Mapping[str, object]) -> bool:
    name = field.path[0]
    return name in current and matches(name, field.after, current[name])


def stuck(live: LiveResource) -> str:
    """Return what to check in an unhealthy instance."""
    status = str(live.private.get("status", ""))
    if status in HINTS_BY_STATUS:
        return HINTS_BY_STATUS[status]
    if status.startswith("incompatible-"):
        return f"RDS cannot run the instance (status `{status}`). Check the instance's events in RDS."
    if live.spec.get("deletion_protection"):
        return "Deletion protection is on. To delete the instance, first apply `deletionProtection: false`."
    return "Check the events of the instance in RDS."


def notes(spec: Mapping[str, Value], live: LiveResource, today: str) -> Iterator[str]:
    """Yield what a plan says about the drills of the backups: their last result, none yet, too old, not cleaned up."""
    component = live.component or "the database"
    for throwaway in live.private.get("throwaways", ()):
        yield (
            f"{throwaway} belongs to a restore drill of {component}. If none is running, that drill was killed. The "
            "next drill deletes the instance; until then, it is billed."
        )
    limit_days = spec.get("drill_every_days")
    if not isinstance(limit_days, WriteOnly):
        return
    result = live.private.get("last_drill")
    command = f"orchestrator restore database {component.removeprefix('database.')} --drill"
    if result is None:
        yield f"The backups of {component} have never been tested. To run a restore drill: {command}"
    elif result.verdict == FAILED:
        yield f"The last restore drill of {component}, on {result.at:%Y-%m-%d}, failed. To run it again: {command}"
    elif is_drill_due(spec, live, today):
        yield (
            f"The last restore drill of {component} was on {result.at:%Y-%m-%d}; the manifest requires one every "
            f"{format_count(limit_days.value, 'day')}. To run one: {command}"
        )
    else:
        minutes = -(-result.seconds // 60)
        yield f"Restore drill of {component}, {result.at:%Y-%m-%d}: {result.verdict}, {minutes} min to recover."


def is_drill_due(spec: Mapping[str, Value], live: LiveResource, today: str) -> bool:
    """Return whether the manifest wants a restore drill now; ``today`` is YYYY-MM-DD, or "" if no time passes."""
    limit_days = spec.get("drill_every_days")
    result: DrillResult | None = live.private.get("last_drill")
    if not isinstance(limit_days, WriteOnly) or live.spec.get("unfinished_restore"):
        return False
    if result is None or result.verdict == FAILED or not today:
        return result is None or result.verdict == FAILED
    return (date.fromisoformat(today) - result.at.date()).days >= int(str(limit_days.value))


IMMEDIATE_TEXT = "now"
TAG_FIELDS = frozenset({"tags", "apply"})
WAKE_EFFECT = "Starts the database, which takes a few minutes. Its data does not change."
GENTLE = frozenset({WAKE_EFFECT})
"""Effects that need no approval."""
HINTS_BY_STATUS = {
    "failed": "The instance cannot be recovered. Restore it from a snapshot or to a point in time.",
    "storage-full": "The storage is full and the instance accepts no connections. Raise `storage.sizeGb` and apply.",
    "restore-error": "The restore failed. Check the events of the instance in RDS, then restore again.",
    "stopped": (
        "The instance is stopped. Start it with `orchestrator wake` or `aws rds start-db-instance`; AWS starts it "
        "after 7 days."
    ),
    "inaccessible-encryption-credentials": (
        "The KMS key is missing or access to it is denied. Restore the key, then start the instance."
    ),
}


def _describe_timing(changed: Fields, live: LiveResource) -> str:
    apply_mode = changed["apply"].after if "apply" in changed else live.spec.get("apply")
    if apply_mode == APPLY_IMMEDIATELY:
        return IMMEDIATE_TEXT
    window = changed["maintenance_window"].after if "maintenance_window" in changed else None
    return f"in the maintenance window {window or live.spec.get('maintenance_window') or ''}".strip()


def _restore_effects(changed: Fields) -> Iterator[str]:
    point = changed["restored_from"].after if "restored_from" in changed else changed["unfinished_restore"].before
    restored = f"restored {RestorePoint.parse(str(point)).phrase}"
    yield f"A new instance, {restored}, replaces the current one, which is renamed and kept."
    yield "The database is unavailable for a few minutes during the renames. Newer rows are only in the old instance."


def _power_effects(changed: Fields, timing: str) -> Iterator[str]:
    if "power" not in changed:
        return
    if changed["power"].after == POWER_HIBERNATED:
        yield "Stops the database: nothing can connect until it is started. Storage and backups are kept and billed."
    elif changed["power"].before in (POWER_HIBERNATED, POWER_STOPPED):
        yield WAKE_EFFECT


def _outage_effects(changed: Fields, timing: str) -> Iterator[str]:
    if "instance_class" in changed:
        yield f"Changing the class causes a few minutes of downtime, {timing}."
    if "version" in changed:
        before, after = (str(value or "").split(".")[0] for value in _before_and_after(changed["version"]))
        if before == after:
            yield f"A minor upgrade causes a few minutes of downtime, {timing}."
        else:
            yield (
                f"Upgrading from {before} to {after} causes up to an hour of downtime, {timing}, and cannot be undone."
            )
    if "port" in changed:
        yield f"Changing the port restarts the database, {timing}. Connections to the old port fail from then on."


def _storage_effects(changed: Fields, timing: str) -> Iterator[str]:
    if changed.keys() & STORAGE_FIELDS - {"storage_max_gb"}:
        yield "No outage. RDS optimises the storage for several hours; the storage cannot be changed again for 6 hours."


def _backup_effects(changed: Fields, timing: str) -> Iterator[str]:
    if "backup_retention_days" in changed:
        before, after = _before_and_after(changed["backup_retention_days"])
        if not before or not after:
            yield "Turning backups on or off suspends I/O for seconds to minutes."
        if not after:
            yield "Without backups, point-in-time recovery is not possible."


def _other_effects(changed: Fields, timing: str) -> Iterator[str]:
    conditions_by_effect: Mapping[str, Callable[[FieldChange], bool]] = {
        "The master password changes. Connections with the old password fail until their service restarts.": (
            lambda field: field.path[0] == "credentials"
        ),
        "No outage. Writes are slower while the standby is created.": (
            lambda field: field.path[0] == "multi_az" and field.after is True
        ),
        "Static parameters take effect only after the next restart.": lambda field: field.path[0] == "parameter_group",
        "The database becomes reachable from the internet.": (
            lambda field: field.path[0] == "public" and field.after is True
        ),
    }
    yield from (effect for effect, condition in conditions_by_effect.items() if any(map(condition, changed.values())))


def _before_and_after(field: FieldChange) -> tuple[object, object]:
    return field.before, field.after
