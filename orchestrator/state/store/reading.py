"""What can be asked of the store.  Every answer costs the same however long the history is."""

from __future__ import annotations

import time
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Connection, Engine, Row, Select, and_, func, or_, select, tuple_

from orchestrator.state import leases as line_rules
from orchestrator.state import metrics
from orchestrator.state.questions import Delivery, HistoryFilter, RunFilter
from orchestrator.state.records import (
    AuditEntry,
    Conflict,
    DriftDecision,
    DriftReport,
    Environment,
    Lease,
    ModelVersion,
    Page,
    PlanRecord,
    PullRequestPlan,
    ReleaseContent,
    ReleaseRecord,
    Run,
    StepEvent,
)
from orchestrator.state.store import cursors
from orchestrator.state.store import tables as t
from orchestrator.state.store.database import Clock, now, reading

T = TypeVar("T")
PAGE, MOST = 50, 500


class Reading:
    """The queries.  ``newest`` ended runs at most are looked at for the delivery metrics."""

    newest = 1000

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine = engine
        self.clock = clock

    def environments(self) -> tuple[Environment, ...]:
        """All of them, by key, each at a glance."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(t.environments).order_by(t.environments.c.key)).all()
            return _at_a_glance(connection, rows, now(connection, self.clock))

    def environment(self, key: str) -> Environment | None:
        """One at a glance, or None."""
        with reading(self.engine) as connection:
            rows = connection.execute(select(t.environments).where(t.environments.c.key == key)).all()
            return next(iter(_at_a_glance(connection, rows, now(connection, self.clock))), None)

    def runs(self, only: RunFilter | None = None, cursor: str = "", limit: int = PAGE) -> Page[Run]:
        """The newest first.

        Raises Problems: the cursor is none of ours.
        """
        query = _filtered(select(t.runs.c.body, t.runs.c.started_at, t.runs.c.id), only or RunFilter())
        if cursor:
            at, last = cursors.opened(cursor, str, str)
            query = query.where(tuple_(t.runs.c.started_at, t.runs.c.id) < (at, last))
        query = query.order_by(t.runs.c.started_at.desc(), t.runs.c.id.desc())
        return self._page(query, Run, limit, ("started_at", "id"))

    def run(self, id_: str) -> Run | None:
        """One run, or None."""
        return self._one(select(t.runs.c.body).where(t.runs.c.id == id_), Run)

    def events(self, run: str, after: int = 0, limit: int = MOST) -> tuple[StepEvent, ...]:
        """The events of a run that come after number ``after``, in order."""
        query = select(t.events.c.body).where(t.events.c.run == run, t.events.c.sequence > after)
        with reading(self.engine) as connection:
            found = connection.execute(query.order_by(t.events.c.sequence).limit(_limit(limit))).scalars().all()
        return tuple(msgspec.json.decode(body, type=StepEvent) for body in found)

    def plan(self, digest: str) -> PlanRecord | None:
        """The plan with this digest, or None."""
        return self._one(select(t.plans.c.body).where(t.plans.c.digest == digest), PlanRecord)

    def releases(self, environment: str, cursor: str = "", limit: int = PAGE) -> Page[ReleaseRecord]:
        """The newest first."""
        query = select(t.releases.c.body, t.releases.c.number).where(t.releases.c.environment == environment)
        if cursor:
            query = query.where(t.releases.c.number < cursors.number(cursor))
        return self._page(query.order_by(t.releases.c.number.desc()), ReleaseRecord, limit, ("number",))

    def release(self, environment: str, number: int) -> ReleaseRecord | None:
        """One release, or None."""
        return self._one(select(t.releases.c.body).where(*_numbered(t.releases, environment, number)), ReleaseRecord)

    def release_content(self, environment: str, number: int) -> ReleaseContent | None:
        """What a release is made of, where it was told."""
        query = select(t.releases.c.content).where(*_numbered(t.releases, environment, number))
        return self._one(query, ReleaseContent)

    def drift(self, environment: str) -> DriftReport | None:
        """The newest report, or None."""
        return next(iter(self.drifts(environment, limit=1).items), None)

    def drifts(self, environment: str, cursor: str = "", limit: int = PAGE) -> Page[DriftReport]:
        """The newest first."""
        query = select(t.drifts.c.body, t.drifts.c.id).where(t.drifts.c.environment == environment)
        if cursor:
            query = query.where(t.drifts.c.id < cursors.number(cursor))
        return self._page(query.order_by(t.drifts.c.id.desc()), DriftReport, limit, ("id",))

    def decisions(self, environment: str) -> tuple[DriftDecision, ...]:
        """The newest decision about each drifted resource."""
        query = select(t.decisions.c.body).where(t.decisions.c.environment == environment)
        return self._all(query.order_by(t.decisions.c.address).limit(MOST), DriftDecision)

    def pull_requests(self, environment: str) -> tuple[PullRequestPlan, ...]:
        """The open ones, by number."""
        pulls = t.pull_requests
        query = select(pulls.c.body).where(pulls.c.environment == environment, pulls.c.is_open)
        return self._all(query.order_by(pulls.c.number).limit(MOST), PullRequestPlan)

    def conflicts(self, environment: str, number: int) -> tuple[Conflict, ...]:
        """The open pull requests whose plans touch a field that the plan of ``number`` touches too."""
        mine = t.touched.alias("mine")
        same = and_(t.touched.c.environment == mine.c.environment, t.touched.c.field == mine.c.field)
        query = (
            select(t.touched.c.number, t.touched.c.field)
            .join_from(mine, t.touched, same)
            .where(mine.c.environment == environment, mine.c.number == number, t.touched.c.number != number)
            .order_by(t.touched.c.number, t.touched.c.field)
        )
        with reading(self.engine) as connection:
            found: dict[int, list[str]] = {}
            for other, field in connection.execute(query):
                found.setdefault(other, []).append(field)
        pulls = {pull.number: pull for pull in self.pull_requests(environment)} if found else {}
        return tuple(
            Conflict(other, pulls[other].title, pulls[other].url, tuple(fields))
            for other, fields in found.items()
            if other in pulls
        )

    def models(self, environment: str = "") -> tuple[ModelVersion, ...]:
        """The newest versions first, of one environment or of all."""
        query = select(t.models.c.body)
        if environment:
            query = query.where(t.models.c.environment == environment)
        return self._all(query.order_by(t.models.c.at.desc()).limit(MOST), ModelVersion)

    def leases(self) -> tuple[Lease, ...]:
        """Who holds which environment and who waits, where anybody does."""
        with reading(self.engine) as connection:
            at = now(connection, self.clock)
            found = _leases(connection, select(t.leases), at)
        return tuple(lease for _, lease in sorted(found.items()) if lease.holder or lease.waiting)

    def lease(self, environment: str) -> Lease:
        """Who holds one environment and who waits."""
        with reading(self.engine) as connection:
            query = select(t.leases).where(t.leases.c.environment == environment)
            found = _leases(connection, query, now(connection, self.clock))
        return found.get(environment, Lease(environment, 0))

    def history(self, only: HistoryFilter | None = None, cursor: str = "", limit: int = PAGE) -> Page[AuditEntry]:
        """The newest first."""
        query = _told(select(t.history), only or HistoryFilter())
        if cursor:
            query = query.where(t.history.c.number < cursors.number(cursor))
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(t.history.c.number.desc()).limit(_limit(limit) + 1)).all()
        entries = tuple(AuditEntry(**row._mapping) for row in rows[: _limit(limit)])
        return Page(entries, cursors.cursor(entries[-1].number) if len(rows) > _limit(limit) else "")

    def deliveries(self, environment: str = "") -> tuple[Delivery, ...]:
        """The delivery metrics by week, oldest first, of one environment or of all."""
        names = ("id", "environment", "verb", "by", "commit", "started_at", "status", "committed_at", "ended_at")
        query = select(*(t.runs.c[name] for name in names)).where(t.runs.c.ended_at != "")
        if environment:
            query = query.where(t.runs.c.environment == environment)
        query = query.order_by(t.runs.c.started_at.desc(), t.runs.c.id.desc()).limit(self.newest)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        return metrics.weekly(Run(**row._mapping) for row in rows)

    def _page(self, query: Select[Any], shape: type[T], limit: int, by: Sequence[str]) -> Page[T]:
        size = _limit(limit)
        with reading(self.engine) as connection:
            rows = connection.execute(query.limit(size + 1)).all()
        items = tuple(msgspec.json.decode(row.body, type=shape) for row in rows[:size])
        more = cursors.cursor(*(getattr(rows[size - 1], name) for name in by)) if len(rows) > size else ""
        return Page(items, more)

    def _one(self, query: Select[Any], shape: type[T]) -> T | None:
        with reading(self.engine) as connection:
            body = connection.execute(query).scalar()
        return msgspec.json.decode(body, type=shape) if body else None

    def _all(self, query: Select[Any], shape: type[T]) -> tuple[T, ...]:
        with reading(self.engine) as connection:
            bodies = connection.execute(query).scalars().all()
        return tuple(msgspec.json.decode(body, type=shape) for body in bodies)


def _at_a_glance(connection: Connection, rows: Sequence[Row[Any]], at: float) -> tuple[Environment, ...]:
    keys = [row.key for row in rows]
    last = _by_key(connection, select(t.runs.c.id, t.runs.c.body).where(t.runs.c.id.in_([r.run for r in rows])), Run)
    drifts = _paired(connection, t.drifts, "id", [(row.key, row.drift) for row in rows if row.drift], DriftReport)
    ships = _paired(
        connection, t.releases, "number", [(row.key, row.release) for row in rows if row.release], ReleaseRecord
    )
    held = _leases(connection, select(t.leases).where(t.leases.c.environment.in_(keys)), at)
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


def _leases(connection: Connection, query: Select[Any], at: float) -> dict[str, Lease]:
    found = {}
    for key, body in connection.execute(query):
        line = line_rules.current(msgspec.json.decode(body, type=line_rules.Line), at)
        holder = line.holder if line.holder and line.holder.until > at else None
        found[key] = Lease(key, line.fence, holder, line.waiting)
    return found


def _filtered(query: Select[Any], only: RunFilter) -> Select[Any]:
    for name in ("environment", "status", "verb", "by", "commit"):
        if value := getattr(only, name):
            query = query.where(t.runs.c[name] == value)
    return _between(query, t.runs.c.started_at, only)


def _told(query: Select[Any], only: HistoryFilter) -> Select[Any]:
    for name in ("environment", "deed", "by"):
        if value := getattr(only, name):
            query = query.where(t.history.c[name] == value)
    return _between(query, t.history.c.at, only)


def _between(query: Select[Any], column: Any, only: RunFilter | HistoryFilter) -> Select[Any]:
    query = query.where(column >= only.since) if only.since else query
    return query.where(column < only.until) if only.until else query


def _numbered(table: Any, environment: str, number: int) -> tuple[Any, Any]:
    return table.c.environment == environment, table.c.number == number


def _limit(asked: int) -> int:
    return max(1, min(asked, MOST))
