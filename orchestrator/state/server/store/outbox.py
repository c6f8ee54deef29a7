"""What others are told of: put into the outbox in the very transaction, sent later by ``state.notify``."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, insert

from orchestrator.state.protocol.records import DriftReport, Run
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.projection import to_json

TARGETS = ("webhook", "slack")
NOTIFIED_STATUSES = frozenset({"failed", "returned", "lost"})


def enqueue_run_ended(connection: Connection, run: Run, due_at: float) -> None:
    """Tell of a run that failed, and of every rollback that is done."""
    if run.status in NOTIFIED_STATUSES:
        _enqueue(
            connection,
            due_at,
            _run_notice("run.failed", run, f"{run.verb} of {run.environment} {run.status}: {run.cause}"),
        )
    elif run.verb == "rollback" and run.status == "succeeded":
        _enqueue(
            connection,
            due_at,
            _run_notice("run.rollback", run, f"{run.environment} was rolled back by {run.by}: {run.reason}"),
        )


def enqueue_drift(connection: Connection, report: DriftReport, due_at: float) -> None:
    """Tell of drift where there was none before."""
    first_address = next(drifted.address for drifted in report.resources if drifted.sync == "drifted")
    more = f" and {report.drifted - 1} more" if report.drifted > 1 else ""
    message = f"{report.environment} has drifted: {first_address}{more}"
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
