"""What people are told of an instance: what a change will do to its users, and what to look at when it is not well."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping

from orchestrator.resources.rds_instance.api_members import STORAGE_FIELDS
from orchestrator.resources.rds_instance.modify import APPLY_IMMEDIATELY
from orchestrator.vocabulary import FieldChange, LiveResource

Fields = Mapping[str, FieldChange]


def effects(fields: tuple[FieldChange, ...], live: LiveResource) -> Iterator[str]:
    """One sentence for each thing that users of the database will notice."""
    changed = {field.path[0]: field for field in fields}
    timing = _describe_timing(changed, live)
    for list_effects in (_outage_effects, _storage_effects, _backup_effects, _other_effects):
        yield from list_effects(changed, timing)
    pending = {key: value for key, value in live.private.get("pending", {}).items() if key not in changed}
    if pending and timing == IMMEDIATE_TEXT and "apply" in changed:
        yield f"What waits for the maintenance window is carried out now: {', '.join(sorted(pending))}."


def stuck(live: LiveResource) -> str:
    """What a person should look at."""
    status = str(live.private.get("status", ""))
    if status in HINTS_BY_STATUS:
        return HINTS_BY_STATUS[status]
    if status.startswith("incompatible-"):
        return f"RDS cannot run it with its {status.removeprefix('incompatible-')}: look at its events in RDS."
    if live.spec.get("deletion_protection"):
        return "It is protected: to delete it, first apply `deletionProtection: false`."
    return "Look at its events in RDS."


IMMEDIATE_TEXT = "now"
HINTS_BY_STATUS = {
    "failed": "It cannot be recovered: restore it from a snapshot or to a point in time.",
    "storage-full": "Its disk is full and it takes no connections: raise `storage.sizeGb` and apply.",
    "restore-error": "The restore failed: look at its events in RDS, and restore again.",
    "stopped": "It is stopped: start it (`aws rds start-db-instance`); AWS starts it by itself after 7 days.",
    "inaccessible-encryption-credentials": "Its KMS key is gone or denied: restore the key, then start the instance.",
}


def _describe_timing(changed: Fields, live: LiveResource) -> str:
    apply_mode = changed["apply"].after if "apply" in changed else live.spec.get("apply")
    if apply_mode == APPLY_IMMEDIATELY:
        return IMMEDIATE_TEXT
    window = changed["maintenance_window"].after if "maintenance_window" in changed else None
    return f"in the maintenance window {window or live.spec.get('maintenance_window') or ''}".strip()


def _outage_effects(changed: Fields, timing: str) -> Iterator[str]:
    if "instance_class" in changed:
        yield f"Another class is an outage of some minutes, {timing}."
    if "version" in changed:
        before, after = (str(value or "").split(".")[0] for value in _before_and_after(changed["version"]))
        if before == after:
            yield f"A minor upgrade is an outage of some minutes, {timing}."
        else:
            yield f"An upgrade from {before} to {after} is an outage of up to an hour, {timing}; there is no way back."
    if "port" in changed:
        yield f"Another port is a restart, {timing}; connections with the old one fail from then on."


def _storage_effects(changed: Fields, timing: str) -> Iterator[str]:
    if changed.keys() & STORAGE_FIELDS - {"storage_max_gb"}:
        yield "No outage; RDS optimises the storage for hours, and it cannot be changed again for 6 hours."


def _backup_effects(changed: Fields, timing: str) -> Iterator[str]:
    if "backup_retention_days" in changed:
        before, after = _before_and_after(changed["backup_retention_days"])
        if not before or not after:
            yield "Backups on or off suspend I/O briefly, for seconds to minutes."
        if not after:
            yield "Without backups there is no way back to a point in time."


def _other_effects(changed: Fields, timing: str) -> Iterator[str]:
    conditions_by_effect: Mapping[str, Callable[[FieldChange], bool]] = {
        "The master password is set anew: connections made with the old one fail until their service restarts.": (
            lambda field: field.path[0] == "credentials"
        ),
        "No outage; writes are slower while the standby is made.": (
            lambda field: field.path[0] == "multi_az" and field.after is True
        ),
        "Static parameters take effect at the next restart only.": lambda field: field.path[0] == "parameter_group",
        "The database will be reachable from the internet.": (
            lambda field: field.path[0] == "public" and field.after is True
        ),
    }
    yield from (effect for effect, condition in conditions_by_effect.items() if any(map(condition, changed.values())))


def _before_and_after(field: FieldChange) -> tuple[object, object]:
    return field.before, field.after
