"""From the history to the tables that are asked: what each deed means.  The same when it happens and when imported."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, delete, insert, select, update

from orchestrator import canonical_json
from orchestrator.state.protocol.records import (
    AuditEntry,
    DriftDecision,
    DriftReport,
    ModelVersion,
    PlanRecord,
    PullRequestPlan,
    ReleaseContent,
    ReleaseRecord,
    Run,
    RunEnd,
    Wellbeing,
)
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import inserting
from orchestrator.vocabulary import Health, Plan

WORST = (Health.FAILED, Health.PROGRESSING)


def project(connection: Connection, entry: AuditEntry) -> None:
    """Let the tables say what ``entry`` says; deeds that leave no trace but their entry are passed over."""
    if entry.deed in DEEDS:
        shape, apply = DEEDS[entry.deed]
        apply(connection, entry, msgspec.json.decode(entry.payload, type=shape))


def text(record: object) -> str:
    """A record's canonical JSON, as it is stored."""
    return canonical_json.dump(record).decode()


def upsert(connection: Connection, table: Any, key: dict[str, Any], values: dict[str, Any]) -> None:
    """Write a row, or over the one that has this key."""
    statement = inserting(connection, table).values(**key, **values)
    connection.execute(statement.on_conflict_do_update(index_elements=list(key), set_=values))


def meet(connection: Connection, key: str, **known: Any) -> None:
    """An environment is heard of; what is ``known`` of it now is kept."""
    project_, _, name = key.partition("/")
    connection.execute(
        inserting(connection, t.environments)
        .values(key=key, project=project_, name=name, account="", region="", health="unknown", run="")
        .on_conflict_do_nothing()
    )
    if known:
        connection.execute(update(t.environments).where(t.environments.c.key == key).values(**known))


def health(plan: Plan) -> Wellbeing:
    """How well AWS's things are, as a plan saw them."""
    seen = {change.health for change in plan.changes}
    return next((one.value for one in WORST if one in seen), "healthy" if seen else "unknown")


def _began(connection: Connection, _: AuditEntry, run: Run) -> None:
    known = {
        "environment": run.environment,
        "verb": run.verb,
        "status": run.status,
        "by": run.by,
        "commit": run.commit,
        "started_at": run.started_at,
        "ended_at": run.ended_at,
        "committed_at": run.committed_at,
        "body": text(run),
    }
    connection.execute(insert(t.runs).values(id=run.id, sequence=0, fence=0, events_hash="", **known))
    newest = select(t.runs.c.id).where(t.runs.c.environment == run.environment)
    newest = newest.order_by(t.runs.c.started_at.desc(), t.runs.c.id.desc()).limit(1)
    meet(connection, run.environment, run=connection.execute(newest).scalar_one())


def _started(connection: Connection, _: AuditEntry, run: Run) -> None:
    """It has waited, and its turn has come; or its plan is made."""
    values = {"status": run.status, "body": text(run)}
    connection.execute(update(t.runs).where(t.runs.c.id == run.id).values(**values))


def _ended(connection: Connection, entry: AuditEntry, end: RunEnd) -> None:
    row = connection.execute(select(t.runs.c.body, t.runs.c.sequence).where(t.runs.c.id == entry.subject)).one()
    run = replace(
        msgspec.json.decode(row.body, type=Run),
        **{name: getattr(end, name) for name in end.__struct_fields__ if name != "events_hash"},
        sequence=row.sequence,
    )
    known = {"status": run.status, "ended_at": run.ended_at, "body": text(run)}
    connection.execute(update(t.runs).where(t.runs.c.id == run.id).values(**known))
    wellbeing = _after(end)
    if wellbeing:
        meet(connection, run.environment, health=wellbeing)


def _after(end: RunEnd) -> Wellbeing | None:
    """How the environment is after a run; None where the run says nothing of it."""
    touched = end.outcomes or end.release is not None
    if (end.status == "failed" and touched) or any(one.health is Health.FAILED for one in end.outcomes):
        return "failed"
    if any(one.health is Health.PROGRESSING for one in end.outcomes):
        return "progressing"
    return "healthy" if end.status in {"succeeded", "returned"} else None


def _planned(connection: Connection, entry: AuditEntry, record: PlanRecord) -> None:
    known: dict[str, Any] = {"environment": record.environment, "at": record.at, "body": entry.payload}
    upsert(connection, t.plans, {"digest": record.digest}, known)
    plan = record.plan
    told: dict[str, Any] = {"account": plan.account, "region": plan.region, "health": health(plan)}
    if record.monthly_usd is not None:
        told["monthly_usd"] = record.monthly_usd
    meet(connection, record.environment, **told)


def _released(connection: Connection, entry: AuditEntry, record: ReleaseRecord) -> None:
    """A release that is not the newest whole one (it can come back no more, say) changes nothing but its own row."""
    key = {"environment": record.environment, "number": record.release.number}
    upsert(connection, t.releases, key, {"body": entry.payload})
    before = select(t.environments.c.release).where(t.environments.c.key == record.environment)
    newest = record.release.is_whole and record.release.number >= (connection.execute(before).scalar() or 0)
    meet(connection, record.environment, **({"release": record.release.number} if newest else {}))
    if newest and record.release.of is not None:
        _models_back(connection, record)


def _models_back(connection: Connection, record: ReleaseRecord) -> None:
    """Going back leads to earlier models, too, which nobody uploads again; what was uploaded since then stays."""
    stand, at = set(record.release.vector.models.values()), record.release.at
    rows = connection.execute(select(t.models.c.body).where(t.models.c.environment == record.environment))
    known = [msgspec.json.decode(body, type=ModelVersion) for body in rows.scalars().all()]
    names = {one.name for one in known if one.version in stand} - {one.name for one in known if one.at > at}
    for one in known:
        if one.name in names and one.current is not (one.version in stand):
            same = (t.models.c.environment == one.environment, t.models.c.name == one.name)
            body = text(replace(one, current=one.version in stand))
            connection.execute(update(t.models).where(*same, t.models.c.version == one.version).values(body=body))


def _contents(connection: Connection, entry: AuditEntry, record: ReleaseContent) -> None:
    same = (t.releases.c.environment == record.environment, t.releases.c.number == record.number)
    connection.execute(update(t.releases).where(*same).values(content=entry.payload))


def _drifted(connection: Connection, entry: AuditEntry, report: DriftReport) -> None:
    values = {"environment": report.environment, "id": report.id, "at": report.at, "body": entry.payload}
    connection.execute(insert(t.drifts).values(**values))
    meet(connection, report.environment, drift=report.id)


def _decided(connection: Connection, entry: AuditEntry, decision: DriftDecision) -> None:
    key = {"environment": decision.environment, "address": decision.address}
    upsert(connection, t.decisions, key, {"body": entry.payload})


def _pulled(connection: Connection, entry: AuditEntry, pull: PullRequestPlan) -> None:
    key = {"environment": pull.environment, "number": pull.number}
    upsert(connection, t.pull_requests, key, {"is_open": pull.is_open, "body": entry.payload})
    mine = (t.touched.c.environment == pull.environment, t.touched.c.number == pull.number)
    connection.execute(delete(t.touched).where(*mine))
    if pull.is_open and pull.fields:
        connection.execute(insert(t.touched), [{**key, "field": field} for field in sorted(set(pull.fields))])
    meet(connection, pull.environment)


def _modelled(connection: Connection, entry: AuditEntry, model: ModelVersion) -> None:
    if model.current:
        same = (t.models.c.environment == model.environment, t.models.c.name == model.name)
        for row in connection.execute(select(t.models.c.version, t.models.c.body).where(*same)).all():
            other = replace(msgspec.json.decode(row.body, type=ModelVersion), current=False)
            connection.execute(
                update(t.models).where(*same, t.models.c.version == row.version).values(body=text(other))
            )
    key = {"environment": model.environment, "name": model.name, "version": model.version}
    upsert(connection, t.models, key, {"at": model.at, "body": entry.payload})
    meet(connection, model.environment)


DEEDS: dict[str, tuple[type[Any], Callable[[Connection, AuditEntry, Any], None]]] = {
    "run.begin": (Run, _began),
    "run.start": (Run, _started),
    "run.plan": (Run, _started),
    "run.end": (RunEnd, _ended),
    "plan": (PlanRecord, _planned),
    "release": (ReleaseRecord, _released),
    "release.content": (ReleaseContent, _contents),
    "drift": (DriftReport, _drifted),
    "drift.decide": (DriftDecision, _decided),
    "pull": (PullRequestPlan, _pulled),
    "model": (ModelVersion, _modelled),
}
