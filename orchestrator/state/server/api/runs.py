"""Serve runs, their events and their leases."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Path, Query, Request
from msgspec.structs import replace
from starlette.responses import Response

from orchestrator.state.protocol.records import Lease, Page, Run, StepEvent
from orchestrator.state.protocol.requests import (
    AppendEventsResponse,
    BeginRunRequest,
    EndRunRequest,
    EventBatch,
    RenewLeaseRequest,
    RevokedLease,
    RunLeaseStatus,
    SetPlanRequest,
)
from orchestrator.state.server.api.operation_router import OperationRouter
from orchestrator.state.server.idempotency import respond_once
from orchestrator.state.server.request_context import (
    CurrentReader,
    CurrentUnlocker,
    CurrentWriter,
    Limit,
    QueryText,
    RunFilterQuery,
    StoreDep,
    check_permission,
    json_response,
    validate_record,
)
from orchestrator.state.server.store import Store

operations = OperationRouter("runs")
RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
PathName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
ENVIRONMENT_KEY_PATTERN = r"^[a-z0-9][a-z0-9-]{0,60}/[a-z0-9][a-z0-9-]{0,60}$"
MAX_EVENTS = 2000
MAX_RUN_EVENTS = 200_000
"""Events of one run."""


@operations.post("/runs", status_code=201, response_model=RunLeaseStatus, thread_group="leases")
def create_run(request: Request, store: StoreDep, identity: CurrentWriter, body: BeginRunRequest) -> Response:
    """Begin a run and request the lease of its environment. Repeating the request changes nothing.

    Returns 409 `held` if another run holds the lease and this one does not wait; then the run is not recorded.
    """
    import re

    run = validate_record(body.run)
    if not re.fullmatch(ENVIRONMENT_KEY_PATTERN, run.environment) or not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", run.id):
        raise HTTPException(
            422,
            "invalid run: `id` must be 1 to 64 letters, digits, `.`, `_` or `-`; `environment` must be PROJECT/NAME",
        )
    check_permission(identity, "write", run.environment)
    by = identity.actor
    if body.past and run.by not in {"", by}:
        by = f"{run.by[:80]}, imported by {by[:80]}"
    new_run = replace(run, by=by, status="running", sequence=0, ended_at="", outcomes=(), superseded_by="")

    def begin_run() -> tuple[int, object]:
        return 201, store.begin_run(new_run, identity.name, can_wait=body.waits, from_journal=body.past)

    return respond_once(request, identity, body, begin_run)


@operations.get("/runs", response_model=Page[Run])
def list_runs(
    request: Request,
    store: StoreDep,
    _: CurrentReader,
    filters: RunFilterQuery,
    cursor: QueryText = "",
    limit: Limit = 50,
) -> Response:
    """List runs, newest first."""
    return json_response(request, store.list_runs(filters, cursor, limit))


@operations.get("/runs/{run}", response_model=Run)
def get_run(request: Request, store: StoreDep, _: CurrentReader, run: RunId) -> Response:
    """Return a run."""
    return json_response(request, store.get_run(run))


@operations.get("/runs/{run}/events", response_model=list[StepEvent])
def list_events(
    request: Request,
    store: StoreDep,
    _: CurrentReader,
    run: RunId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Limit = 500,
) -> Response:
    """List the events after number `after`, in order."""
    if store.get_run(run) is None:
        raise HTTPException(404, "no run with this ID")
    return json_response(request, store.list_events(run, after, limit))


@operations.post("/runs/{run}/plan", response_model=Run)
def set_plan(request: Request, store: StoreDep, identity: CurrentWriter, run: RunId, body: SetPlanRequest) -> Response:
    """Set the plan that a run applies. Repeating the request changes nothing."""
    _check_run_permission(store, identity, run)
    return json_response(request, store.set_run_plan(run, body.fence, validate_record(body).plan, identity.name))


@operations.post("/runs/{run}/events", response_model=AppendEventsResponse)
def append_events(request: Request, store: StoreDep, identity: CurrentWriter, run: RunId, body: EventBatch) -> Response:
    """Store events. Returns 409 `lost-lease` if the run must stop, 409 `gap` if earlier events are missing.

    A run that holds the lease needs its fence, here and in every write, and only the client that began it has it.
    """
    if len(body.events) > MAX_EVENTS:
        raise HTTPException(413, f"too many events: {len(body.events)}; send at most {MAX_EVENTS} per request")
    if any(event.sequence > MAX_RUN_EVENTS for event in body.events):
        raise HTTPException(413, f"a run has at most {MAX_RUN_EVENTS} events")
    _check_run_permission(store, identity, run)
    last_sequence = store.append_events(run, body.fence, validate_record(body).events, identity.name)
    request.app.state.metrics.events.inc(len(body.events))
    return json_response(request, AppendEventsResponse(last_sequence))


@operations.post("/runs/{run}/lease", response_model=RunLeaseStatus, thread_group="leases")
def renew_lease(
    request: Request, store: StoreDep, identity: CurrentWriter, run: RunId, body: RenewLeaseRequest
) -> Response:
    """Renew the lease of a run, or its place in the queue. Returns 409 `lost-lease` if the run must stop."""
    _check_run_permission(store, identity, run)
    if body.fence is None:
        return json_response(request, store.request_lease(run, identity.name))
    return json_response(request, store.renew_lease(run, body.fence, identity.name))


@operations.post("/runs/{run}/end", response_model=Run, thread_group="leases")
def end_run(request: Request, store: StoreDep, identity: CurrentWriter, run: RunId, body: EndRunRequest) -> Response:
    """End a run and release its lease. Repeating the request changes nothing.

    A lost run can still report its result, after its remaining events, without a fence.
    """
    _check_run_permission(store, identity, run)
    if body.end.status in {"queued", "running"}:
        raise HTTPException(422, f"invalid status {body.end.status!r}: not a final status")
    return json_response(request, store.end_run(run, body.fence, validate_record(body.end), identity.name))


@operations.get("/leases", response_model=list[Lease])
def list_leases(request: Request, store: StoreDep, _: CurrentReader) -> Response:
    """List all leases that are held or waited for."""
    return json_response(request, store.list_leases())


@operations.delete("/environments/{project}/{name}/lease", response_model=RevokedLease, thread_group="leases")
def revoke_lease(
    request: Request,
    store: StoreDep,
    identity: CurrentUnlocker,
    project: PathName,
    name: PathName,
    reason: QueryText = "",
) -> Response:
    """Revoke the lease of an environment: the next write of its holder is refused. The history keeps `reason`."""
    return json_response(request, store.revoke_lease(f"{project}/{name}", identity.name, reason, identity.actor))


def _check_run_permission(store: Store, identity: CurrentWriter, run_id: str) -> None:
    if identity.environment:
        run = store.get_run(run_id)
        if run is None:
            raise HTTPException(404, "no run with this ID")
        check_permission(identity, "write", run.environment)
