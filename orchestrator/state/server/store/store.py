"""Write records; each write is one transaction that appends to the history."""

from __future__ import annotations

import time

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, insert, select, update
from sqlalchemy import text as sql

from orchestrator.state.protocol.records import (
    AuditEntry,
    DriftDecision,
    DriftField,
    DriftReport,
    ModelVersion,
    PlanRecord,
    PullRequestPlan,
    ReleaseContent,
    ReleaseRecord,
    ReviewRecord,
    Run,
    RunResult,
    StepEvent,
)
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import database, history_chain, outbox
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import Clock, current_time, dialect_insert, write_transaction
from orchestrator.state.server.store.event_hash import extend_hash
from orchestrator.state.server.store.lease_store import LeaseStore, UnknownRunError, lock_lease
from orchestrator.state.server.store.projection import project_entry, to_json
from orchestrator.state.server.store.queries import StoreQueries

__all__ = ["EventGapError", "RunEndedError", "Store", "UnknownRunError"]


INSERT_EVENTS = sql(
    "INSERT INTO events (run, sequence, body) "
    "SELECT :run, :before + ordinal, body FROM unnest(CAST(:bodies AS text[])) WITH ORDINALITY AS batch(body, ordinal)"
)


class EventGapError(Exception):
    """New events do not continue the stored ones; ``expected`` is the next number."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"event {expected} is missing")
        self.expected = expected


class RunEndedError(Exception):
    """The run has already ended; ``run`` contains its result."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"run {run.id} has already ended with status {run.status}")
        self.run = run


class Store(LeaseStore, StoreQueries):
    """All records of the service.  Thread-safe, and on PostgreSQL safe for several processes."""

    @classmethod
    def open(cls, url: str, clock: Clock = time.time) -> Store:
        """Open the store at a database URL and migrate its schema.

        Raises Problems if the database cannot be used.
        """
        engine = database.create_database_engine(url)
        database.migrate(engine)
        with write_transaction(engine) as connection:
            chain_head = dialect_insert(connection, t.chain).values(id=1, number=0, hash=history_chain.GENESIS_HASH)
            connection.execute(chain_head.on_conflict_do_nothing())
        return cls(engine, clock)

    def record_plan(self, record: PlanRecord, actor: str) -> PlanRecord:
        """Store a plan unless it exists; return the stored one.  A proposed plan is replaced by one that is not."""
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            body = connection.execute(select(t.plans.c.body).where(t.plans.c.digest == record.digest)).scalar()
            stored = msgspec.json.decode(body, type=PlanRecord) if body is not None else None
            if stored is not None and (record.is_proposed or not stored.is_proposed):
                return stored
            self._append_history(connection, actor, "plan", record.environment, record.digest, record)
        return record

    def record_release(self, record: ReleaseRecord, content: ReleaseContent | None, actor: str) -> None:
        """Store or update a release; repeating the call changes nothing; its run, commits and addresses are kept."""
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            is_release = (t.releases.c.environment == record.environment, t.releases.c.number == record.release.number)
            row = connection.execute(select(t.releases.c.body, t.releases.c.content).where(*is_release)).first()
            if row is not None:
                existing = msgspec.json.decode(row.body, type=ReleaseRecord)
                run, commits = record.run or existing.run, record.commits or existing.commits
                addresses = record.addresses or existing.addresses
                record = replace(record, run=run, commits=commits, addresses=addresses)
            subject = str(record.release.number)
            if row is None or row.body != to_json(record):
                self._append_history(connection, actor, "release", record.environment, subject, record)
            if content is not None and (row is None or row.content != to_json(content)):
                self._append_history(connection, actor, "release.content", record.environment, subject, content)

    def record_drift_report(self, report: DriftReport, actor: str) -> DriftReport:
        """Store a drift report once; keeps the start times of drift that the previous report contained."""
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            newest = select(t.drifts.c.body).where(t.drifts.c.environment == report.environment)
            body = connection.execute(newest.order_by(t.drifts.c.id.desc()).limit(1)).scalar()
            previous = msgspec.json.decode(body, type=DriftReport) if body else None
            if previous is not None and (previous.at, previous.by, previous.commit) == (
                report.at,
                report.by,
                report.commit,
            ):
                return previous
            report = add_since_times(report, previous)
            self._append_history(connection, actor, "drift", report.environment, str(report.id), report)
            if report.drifted and not (previous and previous.drifted):
                outbox.enqueue_drift(connection, report, current_time(connection, self.clock))
        return report

    def record_drift_decision(self, decision: DriftDecision, actor: str) -> None:
        """Store a decision about a drifted resource."""
        with write_transaction(self.engine) as connection:
            self._append_history(connection, actor, "drift.decide", decision.environment, decision.address, decision)

    def record_review(self, review: ReviewRecord, actor: str) -> None:
        """Store a review; the newest one is shown, and the history keeps all."""
        with write_transaction(self.engine) as connection:
            self._append_history(connection, actor, "review", review.environment, review.at, review)

    def record_pull_request(self, pull: PullRequestPlan, actor: str) -> None:
        """Store the fields that the plan of a pull request changes; a closed pull request changes none."""
        with write_transaction(self.engine) as connection:
            self._append_history(connection, actor, "pull", pull.environment, str(pull.number), pull)

    def record_model_version(self, model: ModelVersion, actor: str) -> None:
        """Store a model version; if it is current, all other versions of the model no longer are."""
        with write_transaction(self.engine) as connection:
            self._append_history(connection, actor, "model", model.environment, f"{model.name} {model.version}", model)

    def record_action(self, action: str, actor: str, subject: str, environment: str = "") -> None:
        """Add an action that changes no record to the history, such as a sign-in or a new token."""
        with write_transaction(self.engine) as connection:
            self._append_history(connection, actor, action, environment, subject, {})

    def set_run_plan(self, run_id: str, fence: int | None, plan: str, actor: str) -> Run:
        """Set the plan that a run applies, by its digest.

        Raises UnknownRunError, RunEndedError if the run has ended, LostLeaseError if it has lost its lease,
        FenceRequiredError and NotRunOwnerError as ``LockedLease.check_writer`` does.
        """
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            run = msgspec.json.decode(self._lock_run(connection, run_id).body, type=Run)
            if run.plan == plan:
                return run
            if run.is_over and not _can_import(run, fence):
                raise RunEndedError(run)
            self._check_writer(connection, run, fence, actor)
            run = replace(run, plan=plan)
            self._append_history(connection, actor, "run.plan", run.environment, run.id, run)
            return run

    def append_events(
        self, run_id: str, fence: int | None, new_events: tuple[StepEvent, ...], actor: str | None = None
    ) -> int:
        """Store the new events of a run; return the number of the last one.

        ``fence`` is None for events from a journal.  Raises UnknownRunError, RunEndedError if the run has ended,
        EventGapError if earlier events are missing, LostLeaseError if the run has lost its lease, FenceRequiredError
        and NotRunOwnerError as ``LockedLease.check_writer`` does.
        """
        with write_transaction(self.engine) as connection:
            row = self._lock_run(connection, run_id)
            unsaved = [event for event in new_events if event.sequence > row.sequence]
            if not unsaved:
                return int(row.sequence)
            run = msgspec.json.decode(row.body, type=Run)
            if run.is_over and not _can_import(run, fence):
                raise RunEndedError(run)
            self._check_writer(connection, run, fence, actor)
            return insert_events(connection, run_id, row.sequence, row.events_hash, unsaved)

    def end_run(self, run_id: str, fence: int | None, result: RunResult, actor: str) -> Run:
        """End a run and release its lease.

        Raises UnknownRunError, LostLeaseError if another run holds its lease, RunEndedError if it has ended with a
        different status, FenceRequiredError and NotRunOwnerError as ``LockedLease.check_writer`` does.
        """
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            row = self._lock_run(connection, run_id)
            run = msgspec.json.decode(row.body, type=Run)
            if run.is_over and (run.status == result.status or not _can_import(run, fence)):
                if run.status != result.status:
                    raise RunEndedError(run)
                return run
            lease = lock_lease(connection, run.environment)
            if not run.is_over:
                lease.check_writer(run_id, fence, actor, current_time(connection, self.clock))
            lease.remove_run(run_id)
            return self._end_run(connection, run, result, actor)

    def _check_writer(self, connection: Connection, run: Run, fence: int | None, actor: str | None) -> None:
        """Check the fence and the client of a write to a run that has not ended."""
        if not run.is_over:
            lease = lock_lease(connection, run.environment)
            lease.check_writer(run.id, fence, actor, current_time(connection, self.clock))

    def _end_run(self, connection: Connection, run: Run, result: RunResult, actor: str) -> Run:
        query = select(t.runs.c.events_hash).where(t.runs.c.id == run.id)
        result = replace(result, events_hash=connection.execute(query).scalar_one())
        self._append_history(connection, actor, "run.end", run.environment, run.id, result)
        body = connection.execute(select(t.runs.c.body).where(t.runs.c.id == run.id)).scalar_one()
        ended = msgspec.json.decode(body, type=Run)
        outbox.enqueue_run_ended(connection, ended, current_time(connection, self.clock))
        return ended

    def _append_history(
        self, connection: Connection, actor: str, action: str, environment: str, subject: str, record: object
    ) -> None:
        """Append an entry to the history and apply it to the tables."""
        timestamp = format_timestamp(current_time(connection, self.clock))
        draft = AuditEntry(0, timestamp, actor, action, environment, subject, to_json(record), "", "")
        project_entry(connection, history_chain.append_entry(connection, draft))


def _can_import(run: Run, fence: int | None) -> bool:
    """Return whether an ended run accepts data from its journal: only if it was marked as lost."""
    return run.status == "lost" and fence is None


def insert_events(
    connection: Connection, run: str, last_sequence: int, events_hash: str, new_events: list[StepEvent]
) -> int:
    """Insert events after number ``last_sequence`` and update the event hash; return the last number.

    Raises EventGapError if their numbers are not consecutive.
    """
    first_sequence, bodies = last_sequence + 1, []
    for event in new_events:
        if event.sequence != last_sequence + 1:
            raise EventGapError(last_sequence + 1)
        body, last_sequence = to_json(event), event.sequence
        events_hash = extend_hash(events_hash, body)
        bodies.append(body)
    if connection.dialect.name == "postgresql":  # one statement for all events
        connection.execute(INSERT_EVENTS, {"run": run, "before": first_sequence - 1, "bodies": bodies})
    else:
        connection.execute(
            insert(t.events),
            [{"run": run, "sequence": sequence, "body": body} for sequence, body in enumerate(bodies, first_sequence)],
        )
    connection.execute(update(t.runs).where(t.runs.c.id == run).values(sequence=last_sequence, events_hash=events_hash))
    return last_sequence


def add_since_times(report: DriftReport, previous: DriftReport | None) -> DriftReport:
    """Return the report with its number and the times since when its fields have had their values.

    The restore drills are those of the previous report if this check did not read them.
    """
    drifted_before = {item.address: item for item in previous.resources if item.sync == "drifted"} if previous else {}
    resources = []
    for item in report.resources:
        previous_resource = drifted_before.get(item.address) if item.sync == "drifted" else None
        previous_fields = {field.path: field for field in previous_resource.fields} if previous_resource else {}
        dated_fields = tuple(
            _with_since_time(field, previous_fields.get(field.path), report.at) for field in item.fields
        )
        resources.append(
            replace(item, fields=dated_fields, since=previous_resource.since if previous_resource else report.at)
        )
    drills = previous.drills if report.drills is None and previous else report.drills
    return replace(report, id=previous.id + 1 if previous else 1, resources=tuple(resources), drills=drills)


def _with_since_time(field: DriftField, previous: DriftField | None, reported_at: str) -> DriftField:
    is_unchanged = previous is not None and (previous.before, previous.after) == (field.before, field.after)
    return replace(field, since=previous.since if is_unchanged and previous else reported_at)
