"""Define the events that an apply emits while it runs; every progress display reads this one stream."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeAlias

from msgspec import Struct

from orchestrator.vocabulary import Action, Outcome, PlannedStep


class ChangeStarted(Struct, frozen=True):
    """A change has started; ``started_after_seconds`` counts from the start of the run."""

    address: str
    action: Action
    started_after_seconds: float


class StepCompleted(Struct, frozen=True):
    """One step of a change is complete; ``seconds`` count from the start of the change."""

    address: str
    step: PlannedStep
    seconds: float


class WaitStarted(Struct, frozen=True):
    """A change waits for AWS; ``description`` names the state it waits for."""

    address: str
    description: str
    seconds: float


class BatchProgress(Struct, frozen=True):
    """Calls of a batch completed so far; ``description`` says what they do.  Emitted a few times a second."""

    address: str
    description: str
    completed: int
    total: int
    seconds: float


class OutputLine(Struct, frozen=True):
    """A line that a program on this machine printed for a change: a build, for example."""

    address: str
    line: str


class ChangeStopping(Struct, frozen=True):
    """The run was interrupted: the change ends after its call in progress."""

    address: str


class ChangeFinished(Struct, frozen=True):
    """A change has finished, whatever the outcome."""

    address: str
    outcome: Outcome


class ProbeStarted(Struct, frozen=True):
    """A probe of a deployed component has started: ``address`` is a component and a path, ``description`` the check."""

    address: str
    description: str


class ProbeFinished(Struct, frozen=True):
    """A probe has finished: whether it ``passed``, and what was ``observed`` if it did not."""

    address: str
    passed: bool
    observed: str
    seconds: float


Event: TypeAlias = (
    ChangeStarted
    | StepCompleted
    | WaitStarted
    | BatchProgress
    | OutputLine
    | ChangeStopping
    | ChangeFinished
    | ProbeStarted
    | ProbeFinished
)
OnEvent: TypeAlias = Callable[[Event], None]


def ignore_event(_: Event) -> None:
    """Ignore an event; for callers that need only the outcomes."""
