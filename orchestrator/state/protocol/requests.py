"""Define the request and response bodies of the run API.  Pure."""

from __future__ import annotations

from msgspec import Struct

from orchestrator.state.protocol.records import Lease, ReleaseContent, ReleaseRecord, Run, RunResult, StepEvent


class BeginRunRequest(Struct, frozen=True):
    """Begins a run.  ``waits``: queue for the lease.  ``past``: the run comes from a journal and needs no lease."""

    run: Run
    waits: bool = False
    past: bool = False


class RunLeaseStatus(Struct, frozen=True):
    """The lease status of a run: ``fence`` is None while the run does not hold the lease.

    ``position`` is the number of runs ahead in the queue, None if the run does not wait.
    """

    run: Run
    lease: Lease
    fence: int | None = None
    position: int | None = None


class RenewLeaseRequest(Struct, frozen=True):
    """Renews the lease of its holder, with ``fence``, or the place of a waiting run, without."""

    fence: int | None = None


class SetPlanRequest(Struct, frozen=True):
    """Sets the plan that a run applies, by its digest; ``fence`` as in EventBatch."""

    plan: str
    fence: int | None = None


class EventBatch(Struct, frozen=True):
    """Events in order; stored ones are skipped.  ``fence`` is None for events imported from a journal."""

    events: tuple[StepEvent, ...]
    fence: int | None = None


class AppendEventsResponse(Struct, frozen=True):
    """The number of the last stored event."""

    sequence: int


class EndRunRequest(Struct, frozen=True):
    """Ends a run; ``fence`` as in EventBatch."""

    end: RunResult
    fence: int | None = None


class ReleasePayload(Struct, frozen=True):
    """A release, with its content if known."""

    record: ReleaseRecord
    content: ReleaseContent | None = None


class RevokedLease(Struct, frozen=True):
    """The response to the revocation of a lease: the run that held it and its owner, both "" if nobody did."""

    environment: str
    run: str = ""
    owner: str = ""
