"""Read environments with their current status in one query."""

from __future__ import annotations

from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Select, and_, func, select

from orchestrator.state.protocol import lease_queue
from orchestrator.state.protocol.records import DriftReport, Environment, Lease, ReleaseRecord, Run
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import Clock, current_time_column

T = TypeVar("T")


def read_overviews(connection: Connection, clock: Clock, key: str = "") -> tuple[Environment, ...]:
    """Return all environments by key, or the one with ``key``, each with its current status."""
    query = _overview_query(connection, clock)
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
            _decode(row.shipped, ReleaseRecord),
            _decode(row.ran, Run),
            _decode(row.drifted, DriftReport),
            _decode_lease(row.key, row.held, float(row.now)) if row.held else None,
            row.pulls,
        )
        for row in connection.execute(query.order_by(t.environments.c.key))
    )


def read_leases(connection: Connection, clock: Clock, environment: str = "") -> dict[str, Lease]:
    """Return the current leases by environment, of all environments or of one."""
    query = select(t.leases, current_time_column(connection, clock).label("now"))
    if environment:
        query = query.where(t.leases.c.environment == environment)
    return {
        row.environment: _decode_lease(row.environment, row.body, float(row.now)) for row in connection.execute(query)
    }


def _overview_query(connection: Connection, clock: Clock) -> Select[Any]:
    environments, pull_requests = t.environments, t.pull_requests
    open_pull_requests = (
        select(func.count())
        .where(pull_requests.c.environment == environments.c.key, pull_requests.c.is_open)
        .scalar_subquery()
    )
    newest_drift = and_(t.drifts.c.environment == environments.c.key, t.drifts.c.id == environments.c.drift)
    current_release = and_(
        t.releases.c.environment == environments.c.key, t.releases.c.number == environments.c.release
    )
    return (
        select(
            environments,
            t.runs.c.body.label("ran"),
            t.drifts.c.body.label("drifted"),
            t.releases.c.body.label("shipped"),
            t.leases.c.body.label("held"),
            open_pull_requests.label("pulls"),
            current_time_column(connection, clock).label("now"),
        )
        .select_from(environments)
        .outerjoin(t.runs, t.runs.c.id == environments.c.run)
        .outerjoin(t.drifts, newest_drift)
        .outerjoin(t.releases, current_release)
        .outerjoin(t.leases, t.leases.c.environment == environments.c.key)
    )


def _decode(body: str | None, record_type: type[T]) -> T | None:
    return msgspec.json.decode(body, type=record_type) if body else None


def _decode_lease(environment: str, body: str, now: float) -> Lease:
    state = lease_queue.drop_expired(msgspec.json.decode(body, type=lease_queue.LeaseState), now)
    holder = state.holder if state.holder and state.holder.until > now else None
    return Lease(environment, state.fence, holder, state.waiting)
