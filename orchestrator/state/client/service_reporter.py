"""Report a run to the state service while it is in progress, or to a journal for later import.

The journal is written first and deleted when the service has all of it.  ``require_lease`` stops a run before its next
call to AWS if it has lost its lease, or if the lease could not be renewed for its whole lifetime and no lock in the
release bucket protects the run.
"""

from __future__ import annotations

import random
import threading
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import datetime, timedelta
from typing import Any

from msgspec.structs import replace

from orchestrator.cost.stack_cost import StackCost
from orchestrator.planning.events import Event, OutputLine
from orchestrator.problems import Problems
from orchestrator.state.client.api_client import RefusedError, StateClient, UnreachableError
from orchestrator.state.client.journal import JOURNAL_DIR, Journal
from orchestrator.state.client.payloads import build_step_event, clean_text, current_timestamp
from orchestrator.state.client.run_reporter import CLOSE_TIMEOUT_SECONDS, RunReporter, RunSuperseded
from orchestrator.state.client.sender import LeaseHeartbeat, QueuedRequest, RequestSender
from orchestrator.state.protocol.records import TERMINAL_STATUSES, DriftReport, PlanRecord, Run, RunResult
from orchestrator.state.protocol.requests import (
    BeginRunRequest,
    EndRunRequest,
    EventBatch,
    ReleasePayload,
    RenewLeaseRequest,
    RunLeaseStatus,
    SetPlanRequest,
)
from orchestrator.state.protocol.timestamps import format_timestamp

QUEUE_POLL_INTERVAL_SECONDS = 2.0
"""Seconds between two polls of a waiting run; the service drops it from the queue after 30 s without one."""
BEGIN_TIMEOUT_SECONDS = 5.0
"""Seconds to wait for the service when a run begins: a restart of the service takes about one."""
BUSY_TIMEOUT_SECONDS = 15.0
"""Seconds to wait for the service when a run begins, while it answers that it is busy."""
NEXT_POLL_INTERVAL_SECONDS = 0.4
"""Seconds between two polls of the first run in the queue; only one run per environment polls this often."""
OnWait = Callable[[RunLeaseStatus], None]


class ServiceReporter(RunReporter):
    """Reports a run: to the service if it holds a lease there, else to its journal only."""

    def __init__(
        self,
        run: Run,
        journal: Journal,
        client: StateClient | None = None,
        fence: int = 0,
        heartbeat: LeaseHeartbeat | None = None,
    ) -> None:
        self.run: Run = run
        self.is_live = client is not None
        self._journal = journal
        self._sender = RequestSender(client, fence) if client is not None else None
        self._heartbeat = heartbeat or (LeaseHeartbeat(client, run.id, fence) if client is not None else None)
        self._lock = threading.Lock()
        self._sequence = 0
        self._result: RunResult | None = None
        self._cost: StackCost | None = None
        journal.append("POST", "/runs", BeginRunRequest(run, past=True))

    def report_plan(self, record: PlanRecord) -> None:
        self._cost = record.cost
        path = f"/environments/{self.run.environment}/plans/{record.digest}"
        self._send("PUT", path, record)
        self._send("POST", f"/runs/{self.run.id}/plan", SetPlanRequest(record.digest))

    def report_event(self, event: Event) -> None:
        if isinstance(event, OutputLine):  # far too many for a record, and kept in a file
            return
        with self._lock:
            self._sequence += 1
            step = build_step_event(self._sequence, current_timestamp(), event)
            self._send("POST", f"/runs/{self.run.id}/events", EventBatch((step,)))

    def report_superseded(self, commit: str) -> None:
        result = RunResult("superseded", current_timestamp(), superseded_by=self.run.id)
        started_at = datetime.fromisoformat(self.run.started_at) - timedelta(milliseconds=1)
        superseded_id = f"{commit[:12]}-{self.run.id}"
        superseded = replace(
            self.run,
            id=superseded_id,
            commit=commit,
            started_at=format_timestamp(started_at.timestamp()),
            plan="",
            committed_at="",
        )
        superseded = replace(superseded, pull_request=None)
        self._send("POST", "/runs", BeginRunRequest(superseded, past=True))
        self._send("POST", f"/runs/{superseded_id}/end", EndRunRequest(result))

    def report_releases(self, releases: Iterable[ReleasePayload]) -> None:
        for item in releases:
            number = item.record.release.number
            self._send("PUT", f"/environments/{self.run.environment}/releases/{number}", item)

    def report_drift(self, report: DriftReport) -> None:
        self._send("POST", f"/environments/{self.run.environment}/drift", report)

    def set_result(self, result: RunResult) -> None:
        self._result = result

    def set_default_result(self, result: RunResult) -> None:
        self._result = self._result or result

    def require_lease(self) -> None:
        if self._heartbeat is None:
            return
        unconfirmed = (
            "" if self.has_bucket_lock else "the state service does not respond, so the lock cannot be confirmed"
        )
        is_confirmed = self._lost_reason() or self._heartbeat.is_lease_held()
        if reason := self._lost_reason() or ("" if is_confirmed else unconfirmed):
            raise Problems.from_message(
                f"{reason}: stopped without further AWS calls",
                hint="run `orchestrator plan` to see what is left to do",
            )

    def _lost_reason(self) -> str:
        """Return why this run has lost its lease, or ""."""
        reasons = [
            channel.lost_reason for channel in (self._sender, self._heartbeat) if channel and channel.lost_reason
        ]
        return reasons[0] if reasons else ""

    def close(self, timeout_seconds: float = CLOSE_TIMEOUT_SECONDS) -> str:
        result = self._result or RunResult("succeeded", "")
        result = replace(
            result,
            ended_at=result.ended_at or current_timestamp(),
            cause=clean_text(result.cause),
            hint=clean_text(result.hint),
            cost=self._cost if result.status == "succeeded" else None,
        )
        self._send("POST", f"/runs/{self.run.id}/end", EndRunRequest(result))
        sender, path = self._sender, self._journal.path
        unsent = sender.close(timeout_seconds) if sender else 0
        if self._heartbeat:
            self._heartbeat.stop()
        import_hint = f"import the journal of this run later: orchestrator history import {path}"
        if sender is None or unsent or sender.refused:
            self._journal.close()
            refusal_note = f"the state service refused {sender.refused[0]}; " if sender and sender.refused else ""
            unsent_note = (
                "the state service did not receive the complete record of this run; "
                if unsent and not refusal_note
                else ""
            )
            if self._journal.failure:
                return f"{refusal_note}{unsent_note}the record of this run is incomplete: {self._journal.failure}"
            return refusal_note + unsent_note + import_hint
        self._journal.remove()
        return ""

    def _send(self, method: str, path: str, body: Any) -> None:
        self._journal.append(method, path, body)
        if self._sender:
            self._sender.enqueue(QueuedRequest(method, path, body))


def start_live(
    run: Run,
    client: StateClient,
    *,
    can_wait: bool,
    wait_timeout_seconds: float,
    on_wait: OnWait,
    begin_timeout_seconds: float = BEGIN_TIMEOUT_SECONDS,
    journal: Journal | None = None,
) -> ServiceReporter:
    """Begin a run with the service once it holds the lease of its environment.

    ``can_wait``: wait for the lease, for at most ``wait_timeout_seconds``.  ``begin_timeout_seconds``: retry the first
    request for this long.  Raises UnreachableError, RefusedError, RunSuperseded, and Problems if the environment is
    locked or the journal cannot be written.
    """
    journal = journal or Journal(JOURNAL_DIR / f"{run.id}.jsonl")
    try:
        status = client.request_record(
            RunLeaseStatus,
            "POST",
            "/runs",
            BeginRunRequest(run, can_wait),
            timeout_seconds=begin_timeout_seconds,
            busy_timeout_seconds=BUSY_TIMEOUT_SECONDS,
        )
        if status.fence is None:
            status = _wait_for_turn(run, client, status, wait_timeout_seconds, on_wait)
        assert status.fence is not None
        return ServiceReporter(run, journal, client, status.fence)
    except BaseException:
        journal.remove()
        raise


def start_offline(run: Run, journal: Journal | None = None) -> ServiceReporter:
    """Begin a run with a journal only.  Raises Problems if the journal cannot be written."""
    return ServiceReporter(run, journal or Journal(JOURNAL_DIR / f"{run.id}.jsonl"))


def _wait_for_turn(
    run: Run, client: StateClient, status: RunLeaseStatus, wait_timeout_seconds: float, on_wait: OnWait
) -> RunLeaseStatus:
    """Poll until the run holds the lease, and return its status."""
    deadline = time.monotonic() + wait_timeout_seconds
    try:
        while status.fence is None:
            if status.run.status in TERMINAL_STATUSES:
                raise RunSuperseded(status.run.superseded_by)
            if time.monotonic() > deadline:
                raise Problems.from_message(
                    f"{run.environment} was still locked after {wait_timeout_seconds:.0f}s; nothing was changed",
                    hint=_holder_hint(status),
                )
            on_wait(status)
            delay_seconds = QUEUE_POLL_INTERVAL_SECONDS if status.position else NEXT_POLL_INTERVAL_SECONDS
            time.sleep(delay_seconds * (0.5 + random.random() / 2))  # noqa: S311 - jitter
            status = client.request_record(RunLeaseStatus, "POST", f"/runs/{run.id}/lease", RenewLeaseRequest())
    except RunSuperseded:
        raise
    except BaseException:
        result = RunResult("interrupted", current_timestamp(), "the run was interrupted while waiting for the lock")
        with suppress(UnreachableError, RefusedError):  # the service drops a run that stops polling
            client.request("POST", f"/runs/{run.id}/end", EndRunRequest(result), timeout_seconds=2)
        raise
    return status


def begin_problems(run: Run, error: UnreachableError | RefusedError) -> Problems:
    """Return why a run that has to be recorded cannot begin."""
    if isinstance(error, UnreachableError):
        return Problems.from_message(
            f"{error}; nothing was changed",
            hint="start the state service, or pass --without-record and import the journal of the run later",
        )
    if error.problem_type == "held":
        return Problems.from_message(
            f"{run.environment} is {error.detail}; nothing was changed",
            hint="wait for the lock with `--wait`; the lock of a killed run expires within a minute",
        )
    hint = "create a token with the scopes read, propose and write" if error.status in {401, 403} else None
    return Problems.from_message(f"the state service refused this run: {error.detail}; nothing was changed", hint=hint)


def _holder_hint(status: RunLeaseStatus) -> str:
    holder = status.lease.holder
    lock_owner = (
        f"locked by {holder.owner} ({holder.reason}) {holder.url}" if holder else "other runs are ahead in the queue"
    )
    return f"try again later; {lock_owner.strip()}"
