"""The page of one run: how it stands, its first cause if it failed, its resources, its log, its plan."""

from __future__ import annotations

from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request
from msgspec import Struct
from starlette.responses import Response

from orchestrator.render import plan_view as plans
from orchestrator.state.protocol.records import PlanRecord, Run
from orchestrator.state.server.pages.formatting import to_unix_seconds
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.pages.resource_table import LogLine, ResourceTable, build_resource_table, format_log_line
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.run_events import iter_events, last_event_sequence

RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
MAX_LOG_LINES = 200
"""Lines of the log that are shown at once."""


class RunView(Struct, frozen=True):
    """What the page says of a run; ``before`` asks for older lines of the log, 0 when there are none."""

    run: Run
    board: ResourceTable
    lines: tuple[LogLine, ...]
    last: int
    before: int
    seconds: float | None
    headline: str


def load_run(store: Store, id_: str) -> tuple[Run, PlanRecord | None]:
    """A run and its plan.

    Raises HTTPException 404.
    """
    run = store.get_run(id_)
    if run is None:
        raise HTTPException(404, "there is no such run")
    return run, store.get_plan(run.plan) if run.plan else None


def build_run_view(store: Store, run: Run, plan: PlanRecord | None, last_line: int = 0) -> RunView:
    """The view; ``upto`` is the number of the last line of the log to show, 0 for the newest.

    A run that is over tells by its outcomes how each resource ended; its events are only read for the log.
    """
    last_sequence = last_event_sequence(store, run.id)
    has_outcomes = run.is_over and bool(run.outcomes)
    table = build_resource_table(run, plan.plan if plan else None, () if has_outcomes else iter_events(store, run.id))
    last_shown = min(last_line or last_sequence, last_sequence)
    before_first = max(0, last_shown - MAX_LOG_LINES)
    log_lines = tuple(
        format_log_line(event)
        for event in store.list_events(run.id, before_first, max(1, last_shown - before_first))
        if event.sequence <= last_shown
    )
    headline = plans.format_headline(plan.plan) if plan else ""
    return RunView(
        run,
        table,
        log_lines,
        max(last_sequence, table.last_sequence),
        before_first,
        elapsed_seconds(store, run),
        headline,
    )


def elapsed_seconds(store: Store, run: Run) -> float | None:
    """Seconds from the beginning to the end, or until now."""
    started = to_unix_seconds(run.started_at)
    ended = to_unix_seconds(run.ended_at) if run.ended_at else store.clock()
    return None if started is None or ended is None else max(0.0, ended - started)


def router() -> APIRouter:
    """``/runs/{run}``."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get("/runs/{run}")
    def show_run(
        request: Request,
        store: StoreDep,
        _: CurrentReader,
        run: RunId,
        upto: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    ) -> Response:
        shown_run, plan = load_run(store, run)
        values: dict[str, Any] = {"view": build_run_view(store, shown_run, plan, upto), "plan": plan, "upto": upto}
        return render_page(request, "run.html", values)

    return routes
