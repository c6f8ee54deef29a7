"""What can be asked of the store.  Every answer costs the same however long the history is."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from sqlalchemy import Engine, Select, and_, select, tuple_

from orchestrator.state.protocol.records import (
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
from orchestrator.state.server import delivery_metrics
from orchestrator.state.server.filters import Delivery, HistoryFilter, RunFilter
from orchestrator.state.server.store import pagination
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import Clock, reading
from orchestrator.state.server.store.overview_queries import at_a_glance, leases

T = TypeVar("T")
PAGE, MOST = 50, 500
REMEMBERED = 100
"""Environments whose delivery metrics are kept at hand."""


class Reading:
    """The queries.  ``newest`` ended runs at most are looked at for the delivery metrics."""

    newest = 1000

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine = engine
        self.clock = clock
        self._delivered: dict[str, tuple[int, tuple[Delivery, ...]]] = {}

    def keys(self) -> tuple[str, ...]:
        """The environments' keys, sorted."""
        with reading(self.engine) as connection:
            return tuple(connection.execute(select(t.environments.c.key).order_by(t.environments.c.key)).scalars())

    def environments(self) -> tuple[Environment, ...]:
        """All of them, by key, each at a glance."""
        with reading(self.engine) as connection:
            return at_a_glance(connection, self.clock)

    def environment(self, key: str) -> Environment | None:
        """One at a glance, or None."""
        with reading(self.engine) as connection:
            return next(iter(at_a_glance(connection, self.clock, key)), None)

    def runs(self, only: RunFilter | None = None, cursor: str = "", limit: int = PAGE) -> Page[Run]:
        """The newest first.

        Raises Problems: the cursor is none of ours.
        """
        query = _filtered(select(t.runs.c.body, t.runs.c.started_at, t.runs.c.id), only or RunFilter())
        if cursor:
            at, last = pagination.opened(cursor, str, str)
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
            query = query.where(t.releases.c.number < pagination.number(cursor))
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
            query = query.where(t.drifts.c.id < pagination.number(cursor))
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
            found = leases(connection, self.clock)
        return tuple(lease for _, lease in sorted(found.items()) if lease.holder or lease.waiting)

    def lease(self, environment: str) -> Lease:
        """Who holds one environment and who waits."""
        with reading(self.engine) as connection:
            found = leases(connection, self.clock, environment)
        return found.get(environment, Lease(environment, 0))

    def history(self, only: HistoryFilter | None = None, cursor: str = "", limit: int = PAGE) -> Page[AuditEntry]:
        """The newest first."""
        query = _told(select(t.history), only or HistoryFilter())
        if cursor:
            query = query.where(t.history.c.number < pagination.number(cursor))
        with reading(self.engine) as connection:
            rows = connection.execute(query.order_by(t.history.c.number.desc()).limit(_limit(limit) + 1)).all()
        entries = tuple(AuditEntry(**row._mapping) for row in rows[: _limit(limit)])
        return Page(entries, pagination.cursor(entries[-1].number) if len(rows) > _limit(limit) else "")

    def deliveries(self, environment: str = "") -> tuple[Delivery, ...]:
        """The delivery metrics by week, oldest first, of one environment or of all.

        They are kept until the history grows: no run ends without a word of it there.
        """
        with reading(self.engine) as connection:
            number = int(connection.execute(select(t.chain.c.number).where(t.chain.c.id == 1)).scalar_one())
        known = self._delivered.get(environment)
        if known is None or known[0] != number:
            known = number, self._counted(environment)
            if len(self._delivered) >= REMEMBERED:
                self._delivered.clear()
            self._delivered[environment] = known
        return known[1]

    def _counted(self, environment: str) -> tuple[Delivery, ...]:
        names = ("id", "environment", "verb", "by", "commit", "started_at", "status", "committed_at", "ended_at")
        query = select(*(t.runs.c[name] for name in names)).where(t.runs.c.ended_at != "")
        if environment:
            query = query.where(t.runs.c.environment == environment)
        query = query.order_by(t.runs.c.started_at.desc(), t.runs.c.id.desc()).limit(self.newest)
        with reading(self.engine) as connection:
            rows = connection.execute(query).all()
        return delivery_metrics.weekly(Run(**row._mapping) for row in rows)

    def _page(self, query: Select[Any], shape: type[T], limit: int, by: Sequence[str]) -> Page[T]:
        size = _limit(limit)
        with reading(self.engine) as connection:
            rows = connection.execute(query.limit(size + 1)).all()
        items = tuple(msgspec.json.decode(row.body, type=shape) for row in rows[:size])
        more = pagination.cursor(*(getattr(rows[size - 1], name) for name in by)) if len(rows) > size else ""
        return Page(items, more)

    def _one(self, query: Select[Any], shape: type[T]) -> T | None:
        with reading(self.engine) as connection:
            body = connection.execute(query).scalar()
        return msgspec.json.decode(body, type=shape) if body else None

    def _all(self, query: Select[Any], shape: type[T]) -> tuple[T, ...]:
        with reading(self.engine) as connection:
            bodies = connection.execute(query).scalars().all()
        return tuple(msgspec.json.decode(body, type=shape) for body in bodies)


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
