"""What an apply tells while it runs: one stream of frozen events, read by every kind of progress display."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from orchestrator.vocabulary import Action, Outcome, PlannedStep


class Started(Struct, frozen=True):
    """Work on a resource begins; ``at`` is in seconds since the run began."""

    address: str
    action: Action
    at: float


class StepDone(Struct, frozen=True):
    """One step of it is done; ``seconds`` since work on the resource began."""

    address: str
    step: PlannedStep
    seconds: float


class Waiting(Struct, frozen=True):
    """It waits for AWS; ``what`` says for which state."""

    address: str
    what: str
    seconds: float


class Progress(Struct, frozen=True):
    """So many of a batch's ``total`` calls are done; ``what`` they do, in words.  Told a few times a second."""

    address: str
    what: str
    done: int
    total: int
    seconds: float


class Finished(Struct, frozen=True):
    """Work on it has ended, one way or another."""

    address: str
    outcome: Outcome


class Asking(Struct, frozen=True):
    """What was shipped is asked whether it answers: ``address`` is a component and a path, ``what`` the question."""

    address: str
    what: str


class Answered(Struct, frozen=True):
    """What came of it: whether it ``passed``, and what was seen where it did not."""

    address: str
    passed: bool
    saw: str
    seconds: float


Event: TypeAlias = Started | StepDone | Waiting | Progress | Finished | Asking | Answered
OnEvent: TypeAlias = Callable[[Event], None]


def ignore(_: Event) -> None:
    """For callers that only want the outcomes."""
