"""The page of one run: how it stands, its first cause if it failed, its resources, its log, its plan."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request
from msgspec import Struct
from starlette.responses import Response

from orchestrator.render import plan_view as plans
from orchestrator.state.protocol.records import PlanRecord, Run
from orchestrator.state.server.pages.formatting import seconds_of
from orchestrator.state.server.pages.rendering import show
from orchestrator.state.server.pages.resource_table import Board, Line, board, line
from orchestrator.state.server.request_context import Keeper, Reader
from orchestrator.state.server.routing import Route
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.run_events import each_event, last_event

RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
LINES = 200
"""Lines of the log that are shown at once."""


class RunView(Struct, frozen=True):
    """What the page says of a run; ``before`` asks for older lines of the log, 0 when there are none."""

    run: Run
    board: Board
    lines: tuple[Line, ...]
    last: int
    before: int
    seconds: float | None
    headline: str


def load(store: Store, id_: str) -> tuple[Run, PlanRecord | None]:
    """A run and its plan.

    Raises HTTPException 404.
    """
    run = store.run(id_)
    if run is None:
        raise HTTPException(404, "there is no such run")
    return run, store.plan(run.plan) if run.plan else None


def look(store: Store, run: Run, plan: PlanRecord | None, upto: int = 0) -> RunView:
    """The view; ``upto`` is the number of the last line of the log to show, 0 for the newest.

    A run that is over tells by its outcomes how each resource ended; its events are only read for the log.
    """
    last = last_event(store, run.id)
    over = run.is_over and bool(run.outcomes)
    made = board(run, plan.plan if plan else None, () if over else each_event(store, run.id))
    end = min(upto or last, last)
    first = max(0, end - LINES)
    shown = tuple(line(event) for event in store.events(run.id, first, max(1, end - first)) if event.sequence <= end)
    headline = plans.headline(plan.plan) if plan else ""
    return RunView(run, made, shown, max(last, made.last), first, elapsed(store, run), headline)


def elapsed(store: Store, run: Run) -> float | None:
    """Seconds from the beginning to the end, or until now."""
    began = seconds_of(run.started_at)
    ended = seconds_of(run.ended_at) if run.ended_at else store.clock()
    return None if began is None or ended is None else max(0.0, ended - began)


def router() -> APIRouter:
    """``/runs/{run}``."""
    routes = APIRouter(include_in_schema=False, route_class=Route)

    @routes.get("/runs/{run}")
    def one(
        request: Request, store: Keeper, _: Reader, run: RunId, upto: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0
    ) -> Response:
        found, plan = load(store, run)
        values: dict[str, Any] = {"view": look(store, found, plan, upto), "plan": plan, "upto": upto}
        return show(request, "run.html", values)

    return routes
