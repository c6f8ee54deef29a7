"""Environments at a glance: what belongs to each, asked for all of them at once."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Row, Select, and_, func, or_, select

from orchestrator.state import leases as line_rules
from orchestrator.state.records import DriftReport, Environment, Lease, ReleaseRecord, Run
from orchestrator.state.store import tables as t

T = TypeVar("T")


def at_a_glance(connection: Connection, rows: Sequence[Row[Any]], at: float) -> tuple[Environment, ...]:
    """The environments of these rows, each with what belongs to it; leases as they are ``at`` (Unix seconds)."""
    keys = [row.key for row in rows]
    last = _by_key(connection, select(t.runs.c.id, t.runs.c.body).where(t.runs.c.id.in_([r.run for r in rows])), Run)
    drifts = _paired(connection, t.drifts, "id", [(row.key, row.drift) for row in rows if row.drift], DriftReport)
    ships = _paired(
        connection, t.releases, "number", [(row.key, row.release) for row in rows if row.release], ReleaseRecord
    )
    held = leases(connection, select(t.leases).where(t.leases.c.environment.in_(keys)), at)
    pulls = t.pull_requests
    counting = select(pulls.c.environment, func.count()).where(pulls.c.environment.in_(keys), pulls.c.is_open)
    open_ = {row[0]: row[1] for row in connection.execute(counting.group_by(pulls.c.environment))}
    return tuple(
        Environment(
            row.key,
            row.project,
            row.name,
            row.account,
            row.region,
            row.health,
            row.monthly_usd,
            ships.get(row.key),
            last.get(row.run),
            drifts.get(row.key),
            held.get(row.key),
            open_.get(row.key, 0),
        )
        for row in rows
    )


def _by_key(connection: Connection, query: Select[Any], shape: type[T]) -> dict[str, T]:
    return {key: msgspec.json.decode(body, type=shape) for key, body in connection.execute(query)}


def _paired(
    connection: Connection, table: Any, column: str, pairs: Iterable[tuple[str, int]], shape: type[T]
) -> Mapping[str, T]:
    """The record of each (environment, number), by environment."""
    wanted = [and_(table.c.environment == key, table.c[column] == number) for key, number in pairs]
    if not wanted:
        return {}
    return _by_key(connection, select(table.c.environment, table.c.body).where(or_(*wanted)), shape)


def leases(connection: Connection, query: Select[Any], at: float) -> dict[str, Lease]:
    """By environment, who holds it and who waits ``at`` (Unix seconds)."""
    found = {}
    for key, body in connection.execute(query):
        line = line_rules.current(msgspec.json.decode(body, type=line_rules.Line), at)
        holder = line.holder if line.holder and line.holder.until > at else None
        found[key] = Lease(key, line.fence, holder, line.waiting)
    return found
