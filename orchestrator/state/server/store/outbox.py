"""What others are told of: put into the outbox in the very transaction, sent later by ``state.notify``."""

from __future__ import annotations

import secrets
from typing import Any

from sqlalchemy import Connection, insert

from orchestrator.state.protocol.records import DriftReport, Run
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.projection import text

TARGETS = ("webhook", "slack")
TOLD = frozenset({"failed", "returned", "lost"})


def ended(connection: Connection, run: Run, at: float) -> None:
    """Tell of a run that failed, and of every rollback that is done."""
    if run.status in TOLD:
        _put(connection, at, _said("run.failed", run, f"{run.verb} of {run.environment} {run.status}: {run.cause}"))
    elif run.verb == "rollback" and run.status == "succeeded":
        _put(connection, at, _said("run.rollback", run, f"{run.environment} was rolled back by {run.by}: {run.reason}"))


def drift(connection: Connection, report: DriftReport, at: float) -> None:
    """Tell of drift where there was none before."""
    first = next(one.address for one in report.resources if one.sync == "drifted")
    more = f" and {report.drifted - 1} more" if report.drifted > 1 else ""
    sentence = f"{report.environment} has drifted: {first}{more}"
    notice = {"event": "drift", "environment": report.environment, "text": sentence, "at": report.at, "id": report.id}
    _put(connection, at, notice)


def _said(event: str, run: Run, sentence: str) -> dict[str, Any]:
    known = {"run": run.id, "status": run.status, "by": run.by, "commit": run.commit, "url": run.url}
    return {"event": event, "environment": run.environment, "text": sentence.rstrip(": "), "at": run.ended_at, **known}


def _put(connection: Connection, at: float, notice: dict[str, Any]) -> None:
    rows = [
        {"id": secrets.token_hex(16), "target": target, "body": text(notice), "tries": 0, "due": at}
        for target in TARGETS
    ]
    connection.execute(insert(t.outbox), rows)
