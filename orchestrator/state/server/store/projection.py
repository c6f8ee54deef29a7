"""Apply history entries to the tables that are queried, when they are written and when they are imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, delete, insert, select, update

from orchestrator import canonical_json
from orchestrator.cost.stack_cost import StackCost
from orchestrator.state.protocol.records import (
    AppliedCost,
    AuditEntry,
    DriftDecision,
    DriftReport,
    EnvironmentHealth,
    ModelVersion,
    PlanRecord,
    PullRequestPlan,
    ReleaseContent,
    ReleaseRecord,
    Run,
    RunResult,
)
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import dialect_insert
from orchestrator.vocabulary import Health

APPLIED_STATUSES = ("succeeded", "failed", "returned")
_RESULT_ONLY_FIELDS = frozenset({"events_hash", "cost"})


def project_entry(connection: Connection, entry: AuditEntry) -> None:
    """Apply an entry to the tables; skips actions that change no table."""
    if entry.deed in PROJECTIONS:
        record_type, apply_entry = PROJECTIONS[entry.deed]
        apply_entry(connection, entry, msgspec.json.decode(entry.payload, type=record_type))


def to_json(record: object) -> str:
    """Return the canonical JSON of a record, as it is stored."""
    return canonical_json.dump(record).decode()


def upsert(connection: Connection, table: Any, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Insert a row, or update the one with this key."""
    statement = dialect_insert(connection, table).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def upsert_environment(connection: Connection, key: str, **columns: Any) -> None:
    """Insert an environment if it is new, and update the given columns."""
    project_name, _, name = key.partition("/")
    connection.execute(
        dialect_insert(connection, t.environments)
        .values(key=key, project=project_name, name=name, account="", region="", health="unknown", run="")
        .on_conflict_do_nothing()
    )
    if columns:
        connection.execute(update(t.environments).where(t.environments.c.key == key).values(**columns))


def _apply_run_begun(connection: Connection, _: AuditEntry, run: Run) -> None:
    columns = {
        "environment": run.environment,
        "verb": run.verb,
        "status": run.status,
        "by": run.by,
        "commit": run.commit,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "committed_at": run.committed_at,
        "body": to_json(run),
    }
    connection.execute(insert(t.runs).values(id=run.id, sequence=0, fence=0, events_hash="", **columns))
    newest = select(t.runs.c.id).where(t.runs.c.environment == run.environment)
    newest = newest.order_by(t.runs.c.started_at.desc(), t.runs.c.id.desc()).limit(1)
    upsert_environment(connection, run.environment, run=connection.execute(newest).scalar_one())


def _apply_run_updated(connection: Connection, _: AuditEntry, run: Run) -> None:
    """Apply a new status or plan of a run."""
    values = {"status": run.status, "body": to_json(run)}
    connection.execute(update(t.runs).where(t.runs.c.id == run.id).values(**values))


def _apply_run_ended(connection: Connection, entry: AuditEntry, result: RunResult) -> None:
    row = connection.execute(select(t.runs.c.body, t.runs.c.sequence).where(t.runs.c.id == entry.subject)).one()
    run = replace(
        msgspec.json.decode(row.body, type=Run),
        **{name: getattr(result, name) for name in result.__struct_fields__ if name not in _RESULT_ONLY_FIELDS},
        sequence=row.sequence,
    )
    columns = {"status": run.status, "ended_at": run.ended_at, "body": to_json(run)}
    connection.execute(update(t.runs).where(t.runs.c.id == run.id).values(**columns))
    _apply_run_result(connection, run, result.cost)
    add_applied_cost(connection, run, result.cost)


def _apply_run_result(connection: Connection, run: Run, cost: StackCost | None) -> None:
    """Update the environment with what a run made of it, unless a later run has: journals arrive late."""
    later = select(t.runs.c.id).where(t.runs.c.environment == run.environment, t.runs.c.started_at > run.started_at)
    is_newest = connection.execute(later.where(t.runs.c.status.in_(APPLIED_STATUSES)).limit(1)).first() is None
    if is_newest:
        update_from_run(connection, run, cost)


def update_from_run(connection: Connection, run: Run, cost: StackCost | None = None) -> None:
    """Set what an ended run says about its environment: its health, and if it succeeded, its place and cost."""
    columns: dict[str, Any] = {}
    if health := _health_after_run(run):
        columns["health"] = health
    record = _find_plan(connection, run.plan) if run.status == "succeeded" else None
    if record is not None:  # a plan is what its run has applied, no earlier
        columns |= {"account": record.plan.account, "region": record.plan.region}
    if (monthly_usd := _monthly_usd(run, record, cost)) is not None:
        columns["monthly_usd"] = monthly_usd
    if columns:
        upsert_environment(connection, run.environment, **columns)


def add_applied_cost(connection: Connection, run: Run, cost: StackCost | None = None) -> None:
    """Add what the environment costs since an ended run; nothing if the run failed or did not say."""
    record = _find_plan(connection, run.plan) if run.status == "succeeded" else None
    monthly_usd = _monthly_usd(run, record, cost)
    if monthly_usd is None:
        return
    ended_at = run.ended_at or run.started_at
    applied = AppliedCost(run.environment, run.id, ended_at, run.verb, run.by, monthly_usd, run.release, cost)
    key = {"environment": run.environment, "run": run.id}
    upsert(connection, t.costs, key, {"at": applied.at, "body": to_json(applied)})


def _monthly_usd(run: Run, record: PlanRecord | None, cost: StackCost | None) -> float | None:
    """Return the cost after a run that succeeded; runs of earlier versions only have that of their plan."""
    if run.status != "succeeded":
        return None
    return cost.idle if cost is not None else record.monthly_usd if record is not None else None


def _find_plan(connection: Connection, digest: str) -> PlanRecord | None:
    body = connection.execute(select(t.plans.c.body).where(t.plans.c.digest == digest)).scalar() if digest else None
    return msgspec.json.decode(body, type=PlanRecord) if body else None


def _health_after_run(result: Run) -> EnvironmentHealth | None:
    """Return the health of an environment after a run; None if the run does not change it."""
    has_changes = result.outcomes or result.release is not None
    if (result.status == "failed" and has_changes) or any(
        outcome.health is Health.FAILED for outcome in result.outcomes
    ):
        return "failed"
    if any(outcome.health is Health.PROGRESSING for outcome in result.outcomes):
        return "progressing"
    return "healthy" if result.status in {"succeeded", "returned"} else None


def _apply_plan(connection: Connection, entry: AuditEntry, record: PlanRecord) -> None:
    columns: dict[str, Any] = {"environment": record.environment, "at": record.at, "body": entry.payload}
    upsert(connection, t.plans, {"digest": record.digest}, columns)
    upsert_environment(connection, record.environment)  # what it would be like is no news of what it is like


def _apply_release(connection: Connection, entry: AuditEntry, record: ReleaseRecord) -> None:
    """Apply a release; updates the environment only if it is the newest complete release."""
    key = {"environment": record.environment, "number": record.release.number}
    upsert(connection, t.releases, key, {"body": entry.payload})
    current_number = select(t.environments.c.release).where(t.environments.c.key == record.environment)
    is_current = record.release.is_complete and record.release.number >= (
        connection.execute(current_number).scalar() or 0
    )
    upsert_environment(connection, record.environment, **({"release": record.release.number} if is_current else {}))
    if is_current and record.release.of is not None:
        _restore_current_models(connection, record)


def _restore_current_models(connection: Connection, record: ReleaseRecord) -> None:
    """Mark the models of a rollback as current; keeps models uploaded after the release."""
    versions, released_at = set(record.release.vector.models.values()), record.release.at
    rows = connection.execute(select(t.models.c.body).where(t.models.c.environment == record.environment))
    model_versions = [msgspec.json.decode(body, type=ModelVersion) for body in rows.scalars().all()]
    names = {model.name for model in model_versions if model.version in versions} - {
        model.name for model in model_versions if model.at > released_at
    }
    for model in model_versions:
        if model.name in names and model.current is not (model.version in versions):
            is_same_model = (t.models.c.environment == model.environment, t.models.c.name == model.name)
            body = to_json(replace(model, current=model.version in versions))
            connection.execute(
                update(t.models).where(*is_same_model, t.models.c.version == model.version).values(body=body)
            )


def _apply_release_content(connection: Connection, entry: AuditEntry, record: ReleaseContent) -> None:
    is_same_release = (t.releases.c.environment == record.environment, t.releases.c.number == record.number)
    connection.execute(update(t.releases).where(*is_same_release).values(content=entry.payload))


def _apply_drift_report(connection: Connection, entry: AuditEntry, report: DriftReport) -> None:
    values = {"environment": report.environment, "id": report.id, "at": report.at, "body": entry.payload}
    connection.execute(insert(t.drifts).values(**values))
    upsert_environment(connection, report.environment, drift=report.id)


def _apply_drift_decision(connection: Connection, entry: AuditEntry, decision: DriftDecision) -> None:
    key = {"environment": decision.environment, "address": decision.address}
    upsert(connection, t.decisions, key, {"body": entry.payload})


def _apply_pull_request(connection: Connection, entry: AuditEntry, pull: PullRequestPlan) -> None:
    key = {"environment": pull.environment, "number": pull.number}
    upsert(connection, t.pull_requests, key, {"is_open": pull.is_open, "body": entry.payload})
    is_same_pull_request = (
        t.pull_request_fields.c.environment == pull.environment,
        t.pull_request_fields.c.number == pull.number,
    )
    connection.execute(delete(t.pull_request_fields).where(*is_same_pull_request))
    if pull.is_open and pull.fields:
        connection.execute(
            insert(t.pull_request_fields), [{**key, "field": field} for field in sorted(set(pull.fields))]
        )
    upsert_environment(connection, pull.environment)


def _apply_model_version(connection: Connection, entry: AuditEntry, model: ModelVersion) -> None:
    if model.current:
        is_same_model = (t.models.c.environment == model.environment, t.models.c.name == model.name)
        for row in connection.execute(select(t.models.c.version, t.models.c.body).where(*is_same_model)).all():
            other = replace(msgspec.json.decode(row.body, type=ModelVersion), current=False)
            connection.execute(
                update(t.models).where(*is_same_model, t.models.c.version == row.version).values(body=to_json(other))
            )
    key = {"environment": model.environment, "name": model.name, "version": model.version}
    upsert(connection, t.models, key, {"at": model.at, "body": entry.payload})
    upsert_environment(connection, model.environment)


PROJECTIONS: dict[str, tuple[type[Any], Callable[[Connection, AuditEntry, Any], None]]] = {
    "run.begin": (Run, _apply_run_begun),
    "run.start": (Run, _apply_run_updated),
    "run.plan": (Run, _apply_run_updated),
    "run.end": (RunResult, _apply_run_ended),
    "plan": (PlanRecord, _apply_plan),
    "release": (ReleaseRecord, _apply_release),
    "release.content": (ReleaseContent, _apply_release_content),
    "drift": (DriftReport, _apply_drift_report),
    "drift.decide": (DriftDecision, _apply_drift_decision),
    "pull": (PullRequestPlan, _apply_pull_request),
    "model": (ModelVersion, _apply_model_version),
}
