"""Runs, their events, and the leases they hold."""

from __future__ import annotations

from typing import Annotated

from fastapi import HTTPException, Path, Query, Request
from msgspec.structs import replace
from starlette.responses import Response

from orchestrator.state.protocol.records import Lease, Page, Run, StepEvent
from orchestrator.state.protocol.requests import Batch, Begin, Choice, Ending, Kept, Sign, Standing
from orchestrator.state.server.api.operation_router import Operations
from orchestrator.state.server.filters import RunFilter
from orchestrator.state.server.idempotency import once
from orchestrator.state.server.request_context import Keeper, Operator, Reader, Writer, answered, fit, permit
from orchestrator.state.server.store import Store

operations = Operations("runs")
RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
Limit = Annotated[int, Query(ge=1, le=500)]
Word = Annotated[str, Query(max_length=200)]
KEY = r"^[a-z0-9][a-z0-9-]{0,60}/[a-z0-9][a-z0-9-]{0,60}$"
MOST_EVENTS = 2000


@operations.post("/runs", status_code=201, response_model=Standing)
def begin(request: Request, store: Keeper, identity: Writer, body: Begin) -> Response:
    """Write down that a run begins, and ask for its environment's lease.  Repeated, it changes nothing.

    Answers 409 `held` when somebody else has it and the run does not wait; then it is not written down.
    """
    import re

    run = fit(body.run)
    if not re.fullmatch(KEY, run.environment) or not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", run.id):
        raise HTTPException(422, "a run has an id, and an environment PROJECT/NAME")
    permit(identity, "write", run.environment)
    clean = replace(run, status="running", sequence=0, ended_at="", outcomes=(), superseded_by="")

    def make() -> tuple[int, object]:
        return 201, store.begin(clean, identity.name, waits=body.waits, past=body.past)

    return once(request, identity, body, make)


@operations.get("/runs", response_model=Page[Run])
def runs(  # noqa: PLR0913 - its filters
    request: Request,
    store: Keeper,
    _: Reader,
    environment: Word = "",
    status: Word = "",
    verb: Word = "",
    by: Word = "",
    commit: Word = "",
    since: Word = "",
    until: Word = "",
    cursor: Word = "",
    limit: Limit = 50,
) -> Response:
    """The newest first."""
    only = RunFilter(environment, status, verb, by, commit, since, until)
    return answered(request, store.runs(only, cursor, limit))


@operations.get("/runs/{run}", response_model=Run)
def run(request: Request, store: Keeper, _: Reader, run: RunId) -> Response:
    """One run."""
    return answered(request, store.run(run))


@operations.get("/runs/{run}/events", response_model=list[StepEvent])
def events(
    request: Request,
    store: Keeper,
    _: Reader,
    run: RunId,
    after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    limit: Limit = 500,
) -> Response:
    """The events that come after number `after`, in order."""
    if store.run(run) is None:
        raise HTTPException(404, "there is no such run")
    return answered(request, store.events(run, after, limit))


@operations.post("/runs/{run}/plan", response_model=Run)
def choose(request: Request, store: Keeper, identity: Writer, run: RunId, body: Choice) -> Response:
    """Keep which plan a run carries out.  Repeated, it changes nothing."""
    _own(store, identity, run)
    return answered(request, store.choose(run, body.fence, fit(body).plan, identity.name))


@operations.post("/runs/{run}/events", response_model=Kept)
def append(request: Request, store: Keeper, identity: Writer, run: RunId, body: Batch) -> Response:
    """Keep events.  409 `lost-lease` tells the sender to stop, 409 `gap` that some are missing between."""
    if len(body.events) > MOST_EVENTS:
        raise HTTPException(413, f"send {MOST_EVENTS} events at a time")
    _own(store, identity, run)
    last = store.append(run, body.fence, fit(body).events)
    request.app.state.measures.events.inc(len(body.events))
    return answered(request, Kept(last))


@operations.post("/runs/{run}/lease", response_model=Standing)
def sign(request: Request, store: Keeper, identity: Writer, run: RunId, body: Sign) -> Response:
    """A sign of life, and how the run stands.  409 `lost-lease` tells the sender to stop."""
    _own(store, identity, run)
    if body.fence is None:
        return answered(request, store.ask(run, identity.name))
    return answered(request, store.beat(run, body.fence))


@operations.post("/runs/{run}/end", response_model=Run)
def end(request: Request, store: Keeper, identity: Writer, run: RunId, body: Ending) -> Response:
    """Keep how a run ended, and free its lease.  Repeated, it changes nothing.

    A run that was given up as lost may still say how it ended, with its events before: without a fence.
    """
    _own(store, identity, run)
    if body.end.status in {"queued", "running"}:
        raise HTTPException(422, "that is no end")
    return answered(request, store.end(run, body.fence, fit(body.end), identity.name))


@operations.get("/leases", response_model=list[Lease])
def leases(request: Request, store: Keeper, _: Reader) -> Response:
    """Who writes where, and who waits."""
    return answered(request, store.leases())


@operations.delete("/environments/{project}/{name}/lease", response_model=Lease)
def free(request: Request, store: Keeper, identity: Operator, project: str, name: str) -> Response:
    """Take the lease from whoever has it: its next write is refused."""
    return answered(request, store.free(f"{project}/{name}", identity.name))


def _own(store: Store, identity: Writer, run_id: str) -> None:
    if identity.environment:
        found = store.run(run_id)
        if found is None:
            raise HTTPException(404, "there is no such run")
        permit(identity, "write", found.environment)
