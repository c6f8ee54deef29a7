"""The store: what is written, each write one transaction and one link of the history."""

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
    Run,
    RunEnd,
    StepEvent,
)
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.store import database, history_chain, outbox
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import Clock, inserting, now, writing
from orchestrator.state.server.store.event_hash import woven
from orchestrator.state.server.store.lease_store import Holding, UnknownRunError, line_of
from orchestrator.state.server.store.projection import project, text
from orchestrator.state.server.store.queries import Reading

__all__ = ["GapError", "RunOverError", "Store", "UnknownRunError"]


TOGETHER = sql(
    "INSERT INTO events (run, sequence, body) "
    "SELECT :run, :before + place, body FROM unnest(CAST(:bodies AS text[])) WITH ORDINALITY AS told(body, place)"
)


class GapError(Exception):
    """Events came that do not follow those that are there; ``expected`` is the next number."""

    def __init__(self, expected: int) -> None:
        super().__init__(f"event {expected} is missing")
        self.expected = expected


class RunOverError(Exception):
    """The run has ended; ``run`` says how."""

    def __init__(self, run: Run) -> None:
        super().__init__(f"run {run.id} has ended: {run.status}")
        self.run = run


class Store(Holding, Reading):
    """All that the service knows.  Safe for threads, and on PostgreSQL for several processes."""

    @classmethod
    def open(cls, url: str, clock: Clock = time.time) -> Store:
        """The store at a database URL, its schema brought up to date.

        Raises Problems.
        """
        engine = database.open_(url)
        database.upgrade(engine)
        with writing(engine) as connection:
            first = inserting(connection, t.chain).values(id=1, number=0, hash=history_chain.BEGINNING)
            connection.execute(first.on_conflict_do_nothing())
        return cls(engine, clock)

    def record_plan(self, record: PlanRecord, by: str) -> PlanRecord:
        """Keep a plan; one that is there already is left as it is."""
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            body = connection.execute(select(t.plans.c.body).where(t.plans.c.digest == record.digest)).scalar()
            if body is None:
                self._tell(connection, by, "plan", record.environment, record.digest, record)
                return record
        return msgspec.json.decode(body, type=PlanRecord)

    def record_release(self, record: ReleaseRecord, content: ReleaseContent | None, by: str) -> None:
        """Keep a release, or what is known of it now; the same again leaves no new trace, and its run stays known."""
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            where = (t.releases.c.environment == record.environment, t.releases.c.number == record.release.number)
            row = connection.execute(select(t.releases.c.body, t.releases.c.content).where(*where)).first()
            if row is not None and not record.run:
                record = replace(record, run=msgspec.json.decode(row.body, type=ReleaseRecord).run)
            subject = str(record.release.number)
            if row is None or row.body != text(record):
                self._tell(connection, by, "release", record.environment, subject, record)
            if content is not None and (row is None or row.content != text(content)):
                self._tell(connection, by, "release.content", record.environment, subject, content)

    def record_drift(self, report: DriftReport, by: str) -> DriftReport:
        """Keep a report, once; what was drifted in the report before has been so since then."""
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            newest = select(t.drifts.c.body).where(t.drifts.c.environment == report.environment)
            body = connection.execute(newest.order_by(t.drifts.c.id.desc()).limit(1)).scalar()
            before = msgspec.json.decode(body, type=DriftReport) if body else None
            if before is not None and (before.at, before.by, before.commit) == (report.at, report.by, report.commit):
                return before
            report = since(report, before)
            self._tell(connection, by, "drift", report.environment, str(report.id), report)
            if report.drifted and not (before and before.drifted):
                outbox.drift(connection, report, now(connection, self.clock))
        return report

    def decide(self, decision: DriftDecision, by: str) -> None:
        """Keep what somebody decided about a drifted resource."""
        with writing(self.engine) as connection:
            self._tell(connection, by, "drift.decide", decision.environment, decision.address, decision)

    def record_pull(self, pull: PullRequestPlan, by: str) -> None:
        """Keep what the plan of a pull request touches; a closed one touches nothing."""
        with writing(self.engine) as connection:
            self._tell(connection, by, "pull", pull.environment, str(pull.number), pull)

    def record_model(self, model: ModelVersion, by: str) -> None:
        """Keep a version of a model; the current one makes all others of its name no longer so."""
        with writing(self.engine) as connection:
            self._tell(connection, by, "model", model.environment, f"{model.name} {model.version}", model)

    def note(self, deed: str, by: str, subject: str, environment: str = "") -> None:
        """Put a deed that changes no record into the history: a token made, somebody signed in."""
        with writing(self.engine) as connection:
            self._tell(connection, by, deed, environment, subject, {})

    def choose(self, run_id: str, fence: int | None, plan: str, by: str) -> Run:
        """Keep which plan a run carries out, by its digest.

        Raises as ``append`` does.
        """
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            run = msgspec.json.decode(self._run_row(connection, run_id).body, type=Run)
            if run.plan == plan:
                return run
            if run.is_over and not _may_tell(run, fence):
                raise RunOverError(run)
            if fence is not None:
                line_of(connection, run.environment).check(fence, now(connection, self.clock))
            run = replace(run, plan=plan)
            self._tell(connection, by, "run.plan", run.environment, run.id, run)
            return run

    def append(self, run_id: str, fence: int | None, found: tuple[StepEvent, ...]) -> int:
        """Keep events of a run that are not there yet; the number of the last one.

        ``fence`` is None for what is handed in afterwards.  Raises UnknownRunError, RunOverError for new events of a
        run that has ended, GapError when some are missing between, LostLeaseError when it may not write any more.
        """
        with writing(self.engine) as connection:
            row = self._run_row(connection, run_id)
            new = [event for event in found if event.sequence > row.sequence]
            if not new:
                return int(row.sequence)
            run = msgspec.json.decode(row.body, type=Run)
            if run.is_over and not _may_tell(run, fence):
                raise RunOverError(run)
            if fence is not None:
                line_of(connection, run.environment).check(fence, now(connection, self.clock))
            return put_events(connection, run_id, row.sequence, row.events_hash, new)

    def end(self, run_id: str, fence: int | None, end: RunEnd, by: str) -> Run:
        """Keep how a run ended, once; its lease is free.

        Raises UnknownRunError, and LostLeaseError when another has its lease already; RunOverError when it has ended
        otherwise before.
        """
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            row = self._run_row(connection, run_id)
            run = msgspec.json.decode(row.body, type=Run)
            if run.is_over and (run.status == end.status or not _may_tell(run, fence)):
                if run.status != end.status:
                    raise RunOverError(run)
                return run
            line = line_of(connection, run.environment)
            if fence is not None and run.status == "running":
                line.check(fence, now(connection, self.clock))
            line.give_back(run_id)
            return self._end(connection, run, end, by)

    def _end(self, connection: Connection, run: Run, end: RunEnd, by: str) -> Run:
        known = select(t.runs.c.events_hash).where(t.runs.c.id == run.id)
        end = replace(end, events_hash=connection.execute(known).scalar_one())
        self._tell(connection, by, "run.end", run.environment, run.id, end)
        body = connection.execute(select(t.runs.c.body).where(t.runs.c.id == run.id)).scalar_one()
        ended = msgspec.json.decode(body, type=Run)
        outbox.ended(connection, ended, now(connection, self.clock))
        return ended

    def _tell(self, connection: Connection, by: str, deed: str, environment: str, subject: str, record: object) -> None:
        """One link of the history, and what it means for the tables."""
        at = stamp(now(connection, self.clock))
        draft = AuditEntry(0, at, by, deed, environment, subject, text(record), "", "")
        project(connection, history_chain.append(connection, draft))


def _may_tell(run: Run, fence: int | None) -> bool:
    """Whether a run that is over may add to its story: it was given up as lost, and hands in what it did."""
    return run.status == "lost" and fence is None


def put_events(connection: Connection, run: str, last: int, hashed: str, new: list[StepEvent]) -> int:
    """Write events after number ``last``; each is woven into the run's hash.

    Raises GapError when they do not follow one another.
    """
    first, bodies = last + 1, []
    for event in new:
        if event.sequence != last + 1:
            raise GapError(last + 1)
        body, last = text(event), event.sequence
        hashed = woven(hashed, body)
        bodies.append(body)
    if connection.dialect.name == "postgresql":  # one statement, however many there are
        connection.execute(TOGETHER, {"run": run, "before": first - 1, "bodies": bodies})
    else:
        connection.execute(
            insert(t.events), [{"run": run, "sequence": n, "body": body} for n, body in enumerate(bodies, first)]
        )
    connection.execute(update(t.runs).where(t.runs.c.id == run).values(sequence=last, events_hash=hashed))
    return last


def since(report: DriftReport, before: DriftReport | None) -> DriftReport:
    """``report`` with its number, and with the times since when its fields have been as they are."""
    known = {one.address: one for one in before.resources if one.sync == "drifted"} if before else {}
    resources = []
    for one in report.resources:
        last = known.get(one.address) if one.sync == "drifted" else None
        fields = {field.path: field for field in last.fields} if last else {}
        dated = tuple(_dated(field, fields.get(field.path), report.at) for field in one.fields)
        resources.append(replace(one, fields=dated, since=last.since if last else report.at))
    return replace(report, id=before.id + 1 if before else 1, resources=tuple(resources))


def _dated(field: DriftField, before: DriftField | None, at: str) -> DriftField:
    same = before is not None and (before.before, before.after) == (field.before, field.after)
    return replace(field, since=before.since if same and before else at)
