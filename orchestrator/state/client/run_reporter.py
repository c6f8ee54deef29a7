"""What a run tells while it happens.  Here is the one that tells nobody, where no service is configured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.planning.events import Event
    from orchestrator.state.protocol.records import DriftReport, PlanRecord, Run, RunResult
    from orchestrator.state.protocol.requests import ReleasePayload

CLOSE_TIMEOUT_SECONDS = 20.0
"""Seconds for which the end of a run waits for the service."""


class RunSuperseded(Exception):  # noqa: N818 - nothing went wrong
    """A newer run does what this one was to do; ``by`` is its id."""

    def __init__(self, run_id: str) -> None:
        super().__init__(run_id)
        self.run_id = run_id


class RunReporter:
    """A run that tells nobody.  ``guarded``: another lease than the service's keeps others out, too."""

    run: Run | None = None
    has_bucket_lock = False
    is_live = False

    def report_plan(self, record: PlanRecord) -> None:
        """Tell the plan that is carried out."""

    def report_event(self, event: Event) -> None:
        """Tell what has just happened."""

    def report_superseded(self, commit: str) -> None:
        """Tell that this run does what was to be done for an older ``commit``."""

    def report_releases(self, releases: Iterable[ReleasePayload]) -> None:
        """Tell the releases that were made, or can come back no more."""

    def report_drift(self, report: DriftReport) -> None:
        """Tell what AWS is like after it."""

    def set_result(self, result: RunResult) -> None:
        """Tell how it ends; the last word counts."""

    def set_default_result(self, result: RunResult) -> None:
        """The same, where nothing was said of it yet."""

    def require_lease(self) -> None:
        """Raise Problems when this run may make no call to AWS any more."""

    def close(self, timeout_seconds: float = CLOSE_TIMEOUT_SECONDS) -> str:
        """Say how it ended and free its lease; a sentence about what the service does not have, or ""."""
        return ""
