"""Environments at a glance: what belongs to each, asked for with one query for all of them."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Select, and_, func, select

from orchestrator.state.protocol import leases as rules
from orchestrator.state.protocol.records import DriftReport, Environment, Lease, ReleaseRecord, Run
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import Clock, moment

T = TypeVar("T")


def at_a_glance(connection: Connection, clock: Clock, key: str = "") -> tuple[Environment, ...]:
    """All environments by key, or the one of this ``key``, each with what belongs to it; leases as they are now."""
    query = _all(connection, clock)
    if key:
        query = query.where(t.environments.c.key == key)
    return tuple(
        Environment(
            row.key,
            row.project,
            row.name,
            row.account,
            row.region,
            row.health,
            row.monthly_usd,
            _read(row.shipped, ReleaseRecord),
            _read(row.ran, Run),
            _read(row.drifted, DriftReport),
            _lease(row.key, row.held, float(row.now)) if row.held else None,
            row.pulls,
        )
        for row in connection.execute(query.order_by(t.environments.c.key))
    )


def leases(connection: Connection, clock: Clock, environment: str = "") -> dict[str, Lease]:
    """By environment, of all or of one, who holds it and who waits now."""
    query = select(t.leases, moment(connection, clock).label("now"))
    if environment:
        query = query.where(t.leases.c.environment == environment)
    return {row.environment: _lease(row.environment, row.body, float(row.now)) for row in connection.execute(query)}


def _all(connection: Connection, clock: Clock) -> Select[Any]:
    one, pulls = t.environments, t.pull_requests
    waiting = select(func.count()).where(pulls.c.environment == one.c.key, pulls.c.is_open).scalar_subquery()
    newest = and_(t.drifts.c.environment == one.c.key, t.drifts.c.id == one.c.drift)
    current = and_(t.releases.c.environment == one.c.key, t.releases.c.number == one.c.release)
    return (
        select(
            one,
            t.runs.c.body.label("ran"),
            t.drifts.c.body.label("drifted"),
            t.releases.c.body.label("shipped"),
            t.leases.c.body.label("held"),
            waiting.label("pulls"),
            moment(connection, clock).label("now"),
        )
        .select_from(one)
        .outerjoin(t.runs, t.runs.c.id == one.c.run)
        .outerjoin(t.drifts, newest)
        .outerjoin(t.releases, current)
        .outerjoin(t.leases, t.leases.c.environment == one.c.key)
    )


def _read(body: str | None, shape: type[T]) -> T | None:
    return msgspec.json.decode(body, type=shape) if body else None


def _lease(environment: str, body: str, at: float) -> Lease:
    line = rules.current(msgspec.json.decode(body, type=rules.Line), at)
    holder = line.holder if line.holder and line.holder.until > at else None
    return Lease(environment, line.fence, holder, line.waiting)
