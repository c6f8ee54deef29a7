"""Build the desired state with which the pipeline restores a database. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import cost
from orchestrator.postgresql.connection import Route
from orchestrator.problems import Problems
from orchestrator.quantities import format_count
from orchestrator.recovery.database_backups import DatabaseBackups, format_time
from orchestrator.resources.rds_instance.restore import RestorePoint
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import DesiredState, Resource

INSTANCE_TYPE = "rds_instance"


class RestoreSettings(Struct, frozen=True):
    """How to restore. ``should_verify``: connect to the restored database, by ``route``, before anything uses it."""

    should_verify: bool = True
    ca_file: str = ""
    route: Route | None = None


def find_database(desired: DesiredState, name: str) -> Resource:
    """Return the instance of the Database called ``name``. Raises Problems if the manifests declare none."""
    instances = [resource for resource in desired.resources if resource.type == INSTANCE_TYPE]
    database = next((item for item in instances if item.name == name.removeprefix("database.")), None)
    if database is None:
        declared = ", ".join(item.name for item in instances) or "none"
        raise Problems.from_message(f"the manifests declare no Database `{name}`; declared: {declared}")
    return database


def build_desired(
    desired: DesiredState,
    database: Resource,
    point: RestorePoint,
    backups: DatabaseBackups,
    settings: RestoreSettings,
    now: datetime,
) -> DesiredState:
    """Return the desired state in which ``database`` was restored from ``point``."""
    options = {
        "verify": settings.should_verify,
        "ca_file": settings.ca_file,
        "route": settings.route,
        "source_id": backups.source_id,
    }
    is_continuation = bool(backups.unfinished)
    extra = {} if is_continuation else {"restored_from": str(point)}
    restored = replace(database, spec={**database.spec, **extra, "restore_options": WriteOnly(options)})
    resources = tuple(restored if item.address == database.address else item for item in desired.resources)
    notes = tuple(_iter_notes(desired, database, point, backups, settings, now))
    return replace(desired, resources=resources, notes=notes)


def _iter_notes(
    desired: DesiredState,
    database: Resource,
    point: RestorePoint,
    backups: DatabaseBackups,
    settings: RestoreSettings,
    now: datetime,
) -> Iterator[str]:
    handle = database.component
    match point.kind:
        case "time":
            moment = datetime.fromisoformat(point.value)
            yield f"{handle} is restored to {format_time(moment)}, {_format_age(now - moment)} ago."
        case "snapshot":
            taken = backups.snapshots.get(point.value)
            age = f", taken {format_time(taken)}, {_format_age(now - taken)} ago" if taken else ""
            yield f"{handle} is restored from snapshot {point.value}{age}."
        case _:
            yield f"{handle} is switched back to {point.value}, the instance that a restore replaced."
    if backups.exists:
        price = format_price(desired, database)
        yield f"The current instance is kept under another name, with all its data and deletion protection{price}."
    storage = database.spec.get("storage_gb")
    yield f"AWS does not guarantee how long a restore takes; for {storage} GB, it usually takes 10 to 30 minutes."
    if not settings.should_verify:
        yield "The contents of the restored database are not verified (--no-verify)."


def format_price(desired: DesiredState, database: Resource) -> str:
    """Return the monthly price of a second such instance as the end of a sentence, or "" if it is unknown."""
    estimate = cost.estimate([database], desired.scope.region)
    items = () if estimate.unpriced else estimate.line_items
    return f"; it costs about {items[0].idle:.2f} USD a month until you remove it" if items else ""


def _format_age(age: object) -> str:
    seconds = int(getattr(age, "total_seconds", lambda: 0)())
    if seconds < 120:
        return format_count(seconds, "second")
    if seconds < 7200:
        return format_count(seconds // 60, "minute")
    return format_count(seconds // 3600, "hour") if seconds < 172_800 else format_count(seconds // 86_400, "day")
