"""What a run asks of the service, and what it is answered: the bodies that go over the wire.  Pure."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.state.protocol.records import Lease, ReleaseContent, ReleaseRecord, Run, RunResult, StepEvent


class BeginRunRequest(Struct, frozen=True):
    """A run that is about to write.  ``past``: it was made without the service, and is handed in afterwards."""

    run: Run
    waits: bool = False
    past: bool = False


class RunLeaseStatus(Struct, frozen=True):
    """How a run stands with its environment's lease: ``fence`` is None while it has none.

    ``position`` counts who is before it in the queue, None when it neither waits nor holds.
    """

    run: Run
    lease: Lease
    fence: int | None = None
    position: int | None = None


class RenewLeaseRequest(Struct, frozen=True):
    """A sign of life: with a ``fence`` of a holder, without one of somebody who waits."""

    fence: int | None = None


class SetPlanRequest(Struct, frozen=True):
    """The plan that a run carries out, by its digest; ``fence`` as in Batch."""

    plan: str
    fence: int | None = None


class EventBatch(Struct, frozen=True):
    """Events in order; those that are there already are passed over.  ``fence`` None: handed in afterwards."""

    events: tuple[StepEvent, ...]
    fence: int | None = None


class AppendEventsResponse(Struct, frozen=True):
    """The number of the last event that is kept."""

    sequence: int


class EndRunRequest(Struct, frozen=True):
    """How it ended; ``fence`` as in Batch."""

    end: RunResult
    fence: int | None = None


class ReleasePayload(Struct, frozen=True):
    """A release, and what it is made of where that is told."""

    record: ReleaseRecord
    content: ReleaseContent | None = None
