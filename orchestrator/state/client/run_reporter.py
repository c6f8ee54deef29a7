"""Define the interface to report a run; this implementation reports nothing, for runs without a state service."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.planning.events import Event
    from orchestrator.state.protocol.records import DriftReport, PlanRecord, Run, RunResult
    from orchestrator.state.protocol.requests import ReleasePayload

CLOSE_TIMEOUT_SECONDS = 20.0
"""Seconds for which closing a reporter waits for the service."""


class RunSuperseded(Exception):  # noqa: N818 - nothing went wrong
    """A newer run replaces this one; ``run_id`` is the ID of the newer run."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class RunReporter:
    """Reports nothing.  ``has_bucket_lock``: a lock in the release bucket also keeps other runs out."""

    run: Run | None = None
    has_bucket_lock = False
    is_live = False

    def report_plan(self, record: PlanRecord) -> None:
        """Report the plan that the run applies."""

    def report_event(self, event: Event) -> None:
        """Report an event of the run."""

    def report_superseded(self, commit: str) -> None:
        """Report that this run replaces the run for an older ``commit``."""

    def report_releases(self, releases: Iterable[ReleasePayload]) -> None:
        """Report releases that were made or can no longer be restored."""

    def report_drift(self, report: DriftReport) -> None:
        """Report the drift after the run."""

    def set_result(self, result: RunResult) -> None:
        """Set the result of the run, replacing an earlier one."""

    def set_default_result(self, result: RunResult) -> None:
        """Set the result of the run if none is set yet."""

    def require_lease(self) -> None:
        """Raise Problems if this run may no longer call AWS."""

    def close(self, timeout_seconds: float = CLOSE_TIMEOUT_SECONDS) -> str:
        """Report the result and release the lock; return a note about what the service has not received, or ""."""
        return ""
