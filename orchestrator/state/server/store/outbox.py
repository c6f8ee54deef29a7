"""Queue notifications in the transaction that causes them; ``webhooks`` sends them later."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, insert

from orchestrator.state.protocol.records import DriftReport, Run
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.projection import to_json

TARGETS = ("webhook", "slack")
FAILURE_PHRASES = {"failed": "failed", "returned": "failed and was rolled back", "lost": "was lost"}


def enqueue_run_ended(connection: Connection, run: Run, due_at: float) -> None:
    """Queue a notification about a failed run or a completed rollback."""
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


def enqueue_drift(connection: Connection, report: DriftReport, due_at: float) -> None:
    """Queue a notification about new drift."""
    first_address = next(drifted.address for drifted in report.resources if drifted.sync == "drifted")
    more = f" and {report.drifted - 1} more" if report.drifted > 1 else ""
    message = f"Drift in {report.environment}: {first_address}{more}"
    notice = {"event": "drift", "environment": report.environment, "text": message, "at": report.at, "id": report.id}
    _enqueue(connection, due_at, notice)


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
