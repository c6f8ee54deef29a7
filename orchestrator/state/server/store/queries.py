"""Query the store.  The cost of a query does not depend on the length of the history."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import Any, TypeVar

import msgspec
from msgspec.structs import replace
from sqlalchemy import Engine, Select, and_, select, tuple_

from orchestrator.state.protocol.records import (
    AppliedCost,
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
    ReviewRecord,
    Run,
    StepEvent,
)
from orchestrator.state.server import delivery_metrics
from orchestrator.state.server.filters import DeliveryMetrics, HistoryFilter, RunFilter
from orchestrator.state.server.store import pagination
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import Clock, read_connection
from orchestrator.state.server.store.overview_queries import read_leases, read_overviews

T = TypeVar("T")
DEFAULT_PAGE_SIZE, MAX_PAGE_SIZE = 50, 500
DROPPED_OBSTACLE = "the ledger no longer lists it: `releases.keep` of the Project limits the number of releases"
MAX_CACHED_ENVIRONMENTS = 100
"""Number of environments whose delivery metrics are cached."""


class StoreQueries:
    """The queries of the store; delivery metrics use at most ``max_measured_runs`` ended runs."""

    max_measured_runs = 1000

    def __init__(self, engine: Engine, clock: Clock = time.time) -> None:
        self.engine = engine
        self.clock = clock
        self._delivery_cache: dict[str, tuple[int, tuple[DeliveryMetrics, ...]]] = {}

    def list_environment_keys(self) -> tuple[str, ...]:
        """Return the keys of all environments, sorted."""
        with read_connection(self.engine) as connection:
            return tuple(connection.execute(select(t.environments.c.key).order_by(t.environments.c.key)).scalars())

    def list_environments(self) -> tuple[Environment, ...]:
        """Return all environments by key, with their current status."""
        with read_connection(self.engine) as connection:
            return read_overviews(connection, self.clock)

    def get_environment(self, key: str) -> Environment | None:
        """Return an environment with its current status, or None."""
        with read_connection(self.engine) as connection:
            return next(iter(read_overviews(connection, self.clock, key)), None)

    def list_runs(
        self, filters: RunFilter | None = None, cursor: str = "", limit: int = DEFAULT_PAGE_SIZE
    ) -> Page[Run]:
        """Return runs, newest first.

        Raises Problems if the cursor is invalid.
        """
        query = _filter_runs(select(t.runs.c.body, t.runs.c.started_at, t.runs.c.id), filters or RunFilter())
        if cursor:
            started_at, last_id = pagination.decode_cursor(cursor, str, str)
            query = query.where(tuple_(t.runs.c.started_at, t.runs.c.id) < (started_at, last_id))
        query = query.order_by(t.runs.c.started_at.desc(), t.runs.c.id.desc())
        return self._read_page(query, Run, limit, ("started_at", "id"))

    def get_run(self, id_: str) -> Run | None:
        """Return a run, or None."""
        return self._read_one(select(t.runs.c.body).where(t.runs.c.id == id_), Run)

    def list_events(self, run: str, after_sequence: int = 0, limit: int = MAX_PAGE_SIZE) -> tuple[StepEvent, ...]:
        """Return the events of a run after number ``after_sequence``, in order."""
        query = select(t.events.c.body).where(t.events.c.run == run, t.events.c.sequence > after_sequence)
        with read_connection(self.engine) as connection:
            bodies = connection.execute(query.order_by(t.events.c.sequence).limit(_clamp_limit(limit))).scalars().all()
        return tuple(msgspec.json.decode(body, type=StepEvent) for body in bodies)

    def get_plan(self, digest: str) -> PlanRecord | None:
        """Return the plan with this digest, or None."""
        return self._read_one(select(t.plans.c.body).where(t.plans.c.digest == digest), PlanRecord)

    def list_applied_costs(
        self, environment: str, cursor: str = "", limit: int = DEFAULT_PAGE_SIZE
    ) -> Page[AppliedCost]:
        """Return what an environment has cost since each run that applied something, newest first.

        Raises Problems if the cursor is invalid.
        """
        query = select(t.costs.c.body, t.costs.c.at, t.costs.c.run).where(t.costs.c.environment == environment)
        if cursor:
            at, run = pagination.decode_cursor(cursor, str, str)
            query = query.where(tuple_(t.costs.c.at, t.costs.c.run) < (at, run))
        query = query.order_by(t.costs.c.at.desc(), t.costs.c.run.desc())
        return self._read_page(query, AppliedCost, limit, ("at", "run"))

    def list_releases(self, environment: str, cursor: str = "", limit: int = DEFAULT_PAGE_SIZE) -> Page[ReleaseRecord]:
        """Return releases, newest first.  Raises Problems if the cursor is invalid."""
        query = select(t.releases.c.body, t.releases.c.number).where(t.releases.c.environment == environment)
        if cursor:
            query = query.where(t.releases.c.number < pagination.decode_number(cursor))
        page = self._read_page(query.order_by(t.releases.c.number.desc()), ReleaseRecord, limit, ("number",))
        listed = self._read_listed_numbers(environment)
        return replace(page, items=tuple(_mark_dropped(item, listed) for item in page.items))

    def get_release(self, environment: str, number: int) -> ReleaseRecord | None:
        """Return a release, or None."""
        record = self._read_one(
            select(t.releases.c.body).where(*_number_conditions(t.releases, environment, number)), ReleaseRecord
        )
        return record and _mark_dropped(record, self._read_listed_numbers(environment))

    def _read_listed_numbers(self, environment: str) -> tuple[int, ...]:
        """Return the numbers of the releases in the ledger, as its newest release says; () if it does not."""
        query = select(t.releases.c.body).where(t.releases.c.environment == environment)
        newest = self._read_one(query.order_by(t.releases.c.number.desc()).limit(1), ReleaseRecord)
        return newest.listed if newest else ()

    def get_release_content(self, environment: str, number: int) -> ReleaseContent | None:
        """Return the content of a release, or None if it was not reported."""
        query = select(t.releases.c.content).where(*_number_conditions(t.releases, environment, number))
        return self._read_one(query, ReleaseContent)

    def get_drift_report(self, environment: str) -> DriftReport | None:
        """Return the newest drift report, or None."""
        return next(iter(self.list_drift_reports(environment, limit=1).items), None)

    def list_drift_reports(
        self, environment: str, cursor: str = "", limit: int = DEFAULT_PAGE_SIZE
    ) -> Page[DriftReport]:
        """Return drift reports, newest first.  Raises Problems if the cursor is invalid."""
        query = select(t.drifts.c.body, t.drifts.c.id).where(t.drifts.c.environment == environment)
        if cursor:
            query = query.where(t.drifts.c.id < pagination.decode_number(cursor))
        return self._read_page(query.order_by(t.drifts.c.id.desc()), DriftReport, limit, ("id",))

    def list_drift_decisions(self, environment: str) -> tuple[DriftDecision, ...]:
        """Return the latest decision about each drifted resource."""
        query = select(t.decisions.c.body).where(t.decisions.c.environment == environment)
        return self._read_all(query.order_by(t.decisions.c.address).limit(MAX_PAGE_SIZE), DriftDecision)

    def get_review(self, environment: str) -> ReviewRecord | None:
        """Return the newest review of an environment, or None."""
        query = select(t.history.c.payload).where(t.history.c.environment == environment, t.history.c.deed == "review")
        return self._read_one(query.order_by(t.history.c.number.desc()).limit(1), ReviewRecord)

    def list_pull_requests(self, environment: str) -> tuple[PullRequestPlan, ...]:
        """Return open pull requests by number."""
        pulls = t.pull_requests
        query = select(pulls.c.body).where(pulls.c.environment == environment, pulls.c.is_open)
        return self._read_all(query.order_by(pulls.c.number).limit(MAX_PAGE_SIZE), PullRequestPlan)

    def list_conflicts(self, environment: str, number: int) -> tuple[Conflict, ...]:
        """Return the open pull requests whose plans change the same fields as the plan of ``number``."""
        own_fields = t.pull_request_fields.alias("own")
        is_same_field = and_(
            t.pull_request_fields.c.environment == own_fields.c.environment,
            t.pull_request_fields.c.field == own_fields.c.field,
        )
        query = (
            select(t.pull_request_fields.c.number, t.pull_request_fields.c.field)
            .join_from(own_fields, t.pull_request_fields, is_same_field)
            .where(
                own_fields.c.environment == environment,
                own_fields.c.number == number,
                t.pull_request_fields.c.number != number,
            )
            .order_by(t.pull_request_fields.c.number, t.pull_request_fields.c.field)
        )
        with read_connection(self.engine) as connection:
            fields_by_number: dict[int, list[str]] = {}
            for other, field in connection.execute(query):
                fields_by_number.setdefault(other, []).append(field)
        pulls = {pull.number: pull for pull in self.list_pull_requests(environment)} if fields_by_number else {}
        return tuple(
            Conflict(other, pulls[other].title, pulls[other].url, tuple(fields))
            for other, fields in fields_by_number.items()
            if other in pulls
        )

    def list_model_versions(self, environment: str = "") -> tuple[ModelVersion, ...]:
        """Return model versions, newest first, of one environment or of all."""
        query = select(t.models.c.body)
        if environment:
            query = query.where(t.models.c.environment == environment)
        return self._read_all(query.order_by(t.models.c.at.desc()).limit(MAX_PAGE_SIZE), ModelVersion)

    def has_models(self) -> bool:
        """Return whether any environment has a model."""
        with read_connection(self.engine) as connection:
            return connection.execute(select(t.models.c.name).limit(1)).first() is not None

    def list_leases(self) -> tuple[Lease, ...]:
        """Return all leases that are held or waited for, by environment."""
        with read_connection(self.engine) as connection:
            leases_by_environment = read_leases(connection, self.clock)
        return tuple(lease for _, lease in sorted(leases_by_environment.items()) if lease.holder or lease.waiting)

    def get_lease(self, environment: str) -> Lease:
        """Return the lease of an environment."""
        with read_connection(self.engine) as connection:
            leases_by_environment = read_leases(connection, self.clock, environment)
        return leases_by_environment.get(environment, Lease(environment, 0))

    def list_history(
        self, filters: HistoryFilter | None = None, cursor: str = "", limit: int = DEFAULT_PAGE_SIZE
    ) -> Page[AuditEntry]:
        """Return history entries, newest first.  Raises Problems if the cursor is invalid."""
        query = _filter_history(select(t.history), filters or HistoryFilter())
        if cursor:
            query = query.where(t.history.c.number < pagination.decode_number(cursor))
        with read_connection(self.engine) as connection:
            rows = connection.execute(query.order_by(t.history.c.number.desc()).limit(_clamp_limit(limit) + 1)).all()
        entries = tuple(AuditEntry(**row._mapping) for row in rows[: _clamp_limit(limit)])
        return Page(entries, pagination.encode_cursor(entries[-1].number) if len(rows) > _clamp_limit(limit) else "")

    def list_delivery_metrics(self, environment: str = "") -> tuple[DeliveryMetrics, ...]:
        """Return the delivery metrics by week, oldest first, of one environment or of all.

        They are cached until the history grows, because every end of a run adds an entry.
        """
        with read_connection(self.engine) as connection:
            number = int(connection.execute(select(t.chain.c.number).where(t.chain.c.id == 1)).scalar_one())
        cached = self._delivery_cache.get(environment)
        if cached is None or cached[0] != number:
            cached = number, self._compute_delivery_metrics(environment)
            if len(self._delivery_cache) >= MAX_CACHED_ENVIRONMENTS:
                self._delivery_cache.clear()
            self._delivery_cache[environment] = cached
        return cached[1]

    def _compute_delivery_metrics(self, environment: str) -> tuple[DeliveryMetrics, ...]:
        names = ("id", "environment", "verb", "by", "commit", "started_at", "status", "committed_at", "ended_at")
        query = select(*(t.runs.c[name] for name in names)).where(t.runs.c.ended_at != "")
        if environment:
            query = query.where(t.runs.c.environment == environment)
        query = query.order_by(t.runs.c.started_at.desc(), t.runs.c.id.desc()).limit(self.max_measured_runs)
        with read_connection(self.engine) as connection:
            rows = connection.execute(query).all()
        return delivery_metrics.weekly_metrics(Run(**row._mapping) for row in rows)

    def _read_page(
        self, query: Select[Any], record_type: type[T], limit: int, cursor_columns: Sequence[str]
    ) -> Page[T]:
        size = _clamp_limit(limit)
        with read_connection(self.engine) as connection:
            rows = connection.execute(query.limit(size + 1)).all()
        items = tuple(msgspec.json.decode(row.body, type=record_type) for row in rows[:size])
        next_cursor = (
            pagination.encode_cursor(*(getattr(rows[size - 1], name) for name in cursor_columns))
            if len(rows) > size
            else ""
        )
        return Page(items, next_cursor)

    def _read_one(self, query: Select[Any], record_type: type[T]) -> T | None:
        with read_connection(self.engine) as connection:
            body = connection.execute(query).scalar()
        return msgspec.json.decode(body, type=record_type) if body else None

    def _read_all(self, query: Select[Any], record_type: type[T]) -> tuple[T, ...]:
        with read_connection(self.engine) as connection:
            bodies = connection.execute(query).scalars().all()
        return tuple(msgspec.json.decode(body, type=record_type) for body in bodies)


def _mark_dropped(record: ReleaseRecord, listed: tuple[int, ...]) -> ReleaseRecord:
    """Return the record of a release; one that the ledger has dropped since cannot be restored."""
    if not listed or record.release.number in listed:
        return record
    return replace(record, restorable=False, obstacle=DROPPED_OBSTACLE)


def _filter_runs(query: Select[Any], filters: RunFilter) -> Select[Any]:
    for name in ("environment", "status", "verb", "by", "commit"):
        if value := getattr(filters, name):
            query = query.where(t.runs.c[name] == value)
    return _filter_time(query, t.runs.c.started_at, filters)


def _filter_history(query: Select[Any], filters: HistoryFilter) -> Select[Any]:
    for name in ("environment", "deed", "by"):
        if value := getattr(filters, name):
            query = query.where(t.history.c[name] == value)
    return _filter_time(query, t.history.c.at, filters)


def _filter_time(query: Select[Any], column: Any, filters: RunFilter | HistoryFilter) -> Select[Any]:
    query = query.where(column >= filters.since) if filters.since else query
    return query.where(column < filters.until) if filters.until else query


def _number_conditions(table: Any, environment: str, number: int) -> tuple[Any, Any]:
    return table.c.environment == environment, table.c.number == number


def _clamp_limit(limit: int) -> int:
    return max(1, min(limit, MAX_PAGE_SIZE))
