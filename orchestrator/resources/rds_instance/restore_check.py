"""Verify a restored database: connect, count, and report what the application will find in it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from msgspec.structs import replace

from orchestrator.postgresql.connection import ConnectionTarget
from orchestrator.postgresql.inventory import Inventory, read_inventory
from orchestrator.problems import Problems
from orchestrator.quantities import format_count
from orchestrator.resources.rds_instance.password import extract_value

MAX_LISTED_TABLES = 20


def verify_restored(
    login: Mapping[str, Any],
    secret: Mapping[str, Any],
    key: str,
    old_host: str,
    *,
    on_output: Callable[[str], None],
) -> dict[str, Any]:
    """Read the restored database, and the old one if it answers; report both and return the number of rows.

    Raises Problems if this machine cannot read the restored one.
    """
    target = ConnectionTarget(
        str(login["host"]),
        login["database"],
        login["username"],
        extract_value(secret, key),
        int(login["port"] or 5432),
        "require",
        str(login["ca_file"]),
        login["route"],
    )
    try:
        restored = read_inventory(target, with_checksums=False)
    except Problems as error:
        problem = error.problems[0]
        raise Problems.from_message(
            f"the restored database cannot be verified: {problem.message}; nothing uses it yet",
            hint=f"{problem.hint}, or restore without the check (--no-verify)",
        ) from None
    old = _read_old(replace(target, host=old_host)) if old_host else None
    for line in describe(restored, old):
        on_output(line)
    return {"rows": restored.rows}


def describe(restored: Inventory, old: Inventory | None) -> Iterator[str]:
    """Yield one line for each table that differs from the old database, and the totals."""
    newest = max((table.newest for table in restored.tables.values()), default="")
    yield (
        f"PostgreSQL {restored.version}: {format_count(len(restored.tables), 'table')}, "
        f"{format_count(restored.rows, 'row')}, {format_count(len(restored.sequences), 'sequence')}; "
        f"extensions {', '.join(sorted(restored.extensions)) or 'none'}"
    )
    yield (
        f"newest row: {newest} UTC"
        if newest
        else "the age of the newest row is unknown: no table has a timestamp column"
    )
    if old is None:
        yield "the old database does not respond, so the contents were not compared"
        return
    lines = list(_iter_differences(restored, old))
    yield from lines[:MAX_LISTED_TABLES]
    if len(lines) > MAX_LISTED_TABLES:
        yield f"... and {format_count(len(lines) - MAX_LISTED_TABLES, 'more table')}"
    if not lines:
        yield "every table has the same number of rows as in the old database"


def _iter_differences(restored: Inventory, old: Inventory) -> Iterator[str]:
    for name in sorted({*restored.tables, *old.tables}):
        after, before = restored.tables.get(name), old.tables.get(name)
        if after is None and before is not None:
            yield f"{name}: missing; it has {format_count(before.rows, 'row')} in the old database"
        elif after is not None and before is None:
            yield f"{name}: restored with {format_count(after.rows, 'row')}; not in the old database"
        elif after is not None and before is not None and after.rows != before.rows:
            yield f"{name}: {format_count(after.rows, 'row')}, {before.rows} in the old database"


def _read_old(target: ConnectionTarget) -> Inventory | None:
    try:
        return read_inventory(target, with_checksums=False)
    except Problems:
        return None
