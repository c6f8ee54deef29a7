"""The events of an apply as the records that the service keeps of them."""

from __future__ import annotations

from orchestrator.events import Event, Finished, Progress, Started, StepDone
from orchestrator.state.records import StepEvent


def step_event(sequence: int, at: str, event: Event) -> StepEvent:
    """An event of an apply as the service keeps it."""
    match event:
        case Started():
            return StepEvent(sequence, at, "started", event.address, event.action, seconds=event.at)
        case StepDone():
            what = event.step.action or event.step.note
            return StepEvent(sequence, at, "step", event.address, what=what, seconds=event.seconds)
        case Progress():
            return StepEvent(
                sequence, at, "progress", event.address, None, event.what, event.done, event.total, event.seconds
            )
        case Finished():
            outcome = event.outcome
            return StepEvent(
                sequence,
                at,
                "finished",
                event.address,
                outcome.action,
                outcome.reason,
                seconds=outcome.seconds,
                outcome=outcome,
            )
        case _:
            return StepEvent(sequence, at, "waiting", event.address, what=event.what, seconds=event.seconds)
