"""What an apply tells while it runs: one stream of frozen events, read by every kind of progress display."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from orchestrator.vocabulary import Action, Outcome, PlannedStep


class ChangeStarted(Struct, frozen=True):
    """Work on a resource begins; ``at`` is in seconds since the run began."""

    address: str
    action: Action
    started_after_seconds: float


class StepCompleted(Struct, frozen=True):
    """One step of it is done; ``seconds`` since work on the resource began."""

    address: str
    step: PlannedStep
    seconds: float


class WaitStarted(Struct, frozen=True):
    """It waits for AWS; ``what`` says for which state."""

    address: str
    description: str
    seconds: float


class BatchProgress(Struct, frozen=True):
    """So many of a batch's ``total`` calls are done; ``what`` they do, in words.  Told a few times a second."""

    address: str
    description: str
    completed: int
    total: int
    seconds: float


class ChangeFinished(Struct, frozen=True):
    """Work on it has ended, one way or another."""

    address: str
    outcome: Outcome


class ProbeStarted(Struct, frozen=True):
    """What was shipped is asked whether it answers: ``address`` is a component and a path, ``what`` the question."""

    address: str
    description: str


class ProbeFinished(Struct, frozen=True):
    """What came of it: whether it ``passed``, and what was seen where it did not."""

    address: str
    passed: bool
    observed: str
    seconds: float


Event: TypeAlias = (
    ChangeStarted | StepCompleted | WaitStarted | BatchProgress | ChangeFinished | ProbeStarted | ProbeFinished
)
OnEvent: TypeAlias = Callable[[Event], None]


def ignore_event(_: Event) -> None:
    """For callers that only want the outcomes."""
