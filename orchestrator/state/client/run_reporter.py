"""What a run tells while it happens.  Here is the one that tells nobody, where no service is configured."""

from __future__ import annotations

from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from orchestrator.planning.events import Event
    from orchestrator.state.protocol.records import DriftReport, PlanRecord, Run, RunEnd
    from orchestrator.state.protocol.requests import Shipped

FAREWELL = 20.0
"""Seconds for which the end of a run waits for the service."""


class Superseded(Exception):  # noqa: N818 - nothing went wrong
    """A newer run does what this one was to do; ``by`` is its id."""

    def __init__(self, by: str) -> None:
        super().__init__(by)
        self.by = by


class Record:
    """A run that tells nobody.  ``guarded``: another lease than the service's keeps others out, too."""

    run: Run | None = None
    guarded = False
    is_live = False

    def planned(self, record: PlanRecord) -> None:
        """Tell the plan that is carried out."""

    def event(self, event: Event) -> None:
        """Tell what has just happened."""

    def overtakes(self, commit: str) -> None:
        """Tell that this run does what was to be done for an older ``commit``."""

    def shipped(self, found: Iterable[Shipped]) -> None:
        """Tell the releases that were made, or can come back no more."""

    def looked(self, report: DriftReport) -> None:
        """Tell what AWS is like after it."""

    def conclude(self, end: RunEnd) -> None:
        """Tell how it ends; the last word counts."""

    def conclude_unless(self, end: RunEnd) -> None:
        """The same, where nothing was said of it yet."""

    def admit(self) -> None:
        """Raise Problems when this run may make no call to AWS any more."""

    def finish(self, patience: float = FAREWELL) -> str:
        """Say how it ended and free its lease; a sentence about what the service does not have, or ""."""
        return ""
