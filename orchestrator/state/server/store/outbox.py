"""Queue notifications in the transaction that causes them; ``webhooks`` sends them later."""

from __future__ import annotations

import secrets
from typing import Any

import msgspec
from sqlalchemy import Connection, insert, select

from orchestrator.state.protocol.records import DriftReport, ReleaseRecord, Run
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import dialect_insert
from orchestrator.state.server.store.projection import to_json

TARGETS = ("webhook", "slack")
MAX_LISTED_COMMITS = 20
FAILURE_PHRASES = {"failed": "failed", "returned": "failed and was rolled back", "lost": "was lost"}


def enqueue_run_ended(connection: Connection, run: Run, due_at: float) -> None:
    """Queue a notification about a failed run, a completed rollback or a new release."""
    if run.status in FAILURE_PHRASES:
        _enqueue(
            connection,
            due_at,
            _run_notice(
                "run.failed",
                run,
                f"{run.verb.capitalize()} of {run.environment} {FAILURE_PHRASES[run.status]}: {run.cause}",
            ),
        )
    elif run.verb == "rollback" and run.status == "succeeded":
        _enqueue(
            connection,
            due_at,
            _run_notice("run.rollback", run, f"{run.by} rolled back {run.environment}: {run.reason}"),
        )
    elif run.verb == "deploy" and run.status == "succeeded" and run.release is not None:
        _enqueue(connection, due_at, _run_notice("run.deployed", run, _describe_deploy(connection, run)))


def _describe_deploy(connection: Connection, run: Run) -> str:
    """Return what a deploy shipped: its pull requests and other commits, with their authors."""
    is_release = (t.releases.c.environment == run.environment, t.releases.c.number == run.release)
    body = connection.execute(select(t.releases.c.body).where(*is_release)).scalar()
    commits = msgspec.json.decode(body, type=ReleaseRecord).commits if body else None
    headline = f"{run.by} deployed release {run.release} to {run.environment}"
    shown = commits.added[:MAX_LISTED_COMMITS] if commits else ()
    lines = [
        f"• {commit.title}{f' (#{commit.pull_request})' if commit.pull_request else ''}, {commit.author}"
        for commit in shown
    ]
    further_count = len(commits.added) + commits.omitted - len(shown) if commits else 0
    return "\n".join([headline, *lines, *([f"and {further_count} more"] if further_count else [])])


def enqueue_drift(connection: Connection, report: DriftReport, due_at: float) -> None:
    """Queue a notification about new drift."""
    first_address = next(drifted.address for drifted in report.resources if drifted.sync == "drifted")
    more = f" and {report.drifted - 1} more" if report.drifted > 1 else ""
    message = f"Drift in {report.environment}: {first_address}{more}"
    notice = {"event": "drift", "environment": report.environment, "text": message, "at": report.at, "id": report.id}
    _enqueue(connection, due_at, notice)


def enqueue_digest(connection: Connection, week: str, text: str, due_at: float) -> None:
    """Queue the digest of a week, given by its first day, once: several replicas may try."""
    body = to_json({"event": "digest", "environment": "", "text": text, "at": week})
    for target in TARGETS:
        row = {"id": f"digest-{week}-{target}", "target": target, "body": body, "tries": 0, "due": due_at}
        connection.execute(dialect_insert(connection, t.outbox).values(**row).on_conflict_do_nothing())


def has_digest(connection: Connection, week: str) -> bool:
    """Return whether the digest of a week was queued."""
    query = select(t.outbox.c.id).where(t.outbox.c.id == f"digest-{week}-{TARGETS[0]}")
    return connection.execute(query).first() is not None


def _run_notice(event: str, run: Run, message: str) -> dict[str, Any]:
    run_fields = {"run": run.id, "status": run.status, "by": run.by, "commit": run.commit, "url": run.url}
    return {
        "event": event,
        "environment": run.environment,
        "text": message.rstrip(": "),
        "at": run.ended_at,
        **run_fields,
    }


def _enqueue(connection: Connection, due_at: float, notice: dict[str, Any]) -> None:
    rows = [
        {"id": secrets.token_hex(16), "target": target, "body": to_json(notice), "tries": 0, "due": due_at}
        for target in TARGETS
    ]
    connection.execute(insert(t.outbox), rows)
