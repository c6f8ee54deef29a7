"""Show one run: its status, the root cause of a failure, its resources, log and plan."""

from __future__ import annotations

from statistics import median
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Path, Query, Request
from msgspec import Struct
from starlette.responses import Response

from orchestrator.state.protocol.records import PlanRecord, Run
from orchestrator.state.server.filters import RunFilter
from orchestrator.state.server.pages.formatting import to_unix_seconds
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.pages.resource_table import LogLine, ResourceTable, build_resource_table, format_log_line
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.run_events import iter_events, last_event_sequence

RunId = Annotated[str, Path(pattern=r"^[A-Za-z0-9._-]{1,64}$")]
MAX_LOG_LINES = 200
"""Number of log lines on one page."""
USUAL_RUNS, MIN_USUAL_RUNS = 9, 3
"""Earlier runs from which the usual duration is taken, and how many there have to be."""


class RunView(Struct, frozen=True):
    """What the page shows about a run.

    ``older_before`` is the position of older log lines, 0 if there are none; ``usual_seconds`` is how long such runs
    take, None if there are too few.
    """

    run: Run
    table: ResourceTable
    lines: tuple[LogLine, ...]
    last_sequence: int
    older_before: int
    seconds: float | None
    usual_seconds: float | None = None


def load_run(store: Store, id_: str) -> tuple[Run, PlanRecord | None]:
    """Return a run and its plan, None if the service does not have the plan.

    Raises HTTPException 404 if there is no such run.
    """
    run = store.get_run(id_)
    if run is None:
        raise HTTPException(404, f"no run with the ID {id_}")
    return run, store.get_plan(run.plan) if run.plan else None


def build_run_view(store: Store, run: Run, plan: PlanRecord | None, last_line: int = 0) -> RunView:
    """Return the view of a run; ``last_line`` is the number of the last log line to show, 0 for the newest.

    The table of an ended run comes from its outcomes; its events are read for the log only.
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
    return RunView(
        run,
        table,
        log_lines,
        max(last_sequence, table.last_sequence),
        before_first,
        elapsed_seconds(store, run),
        None if run.is_over else find_usual_seconds(store, run),
    )


def find_usual_seconds(store: Store, run: Run) -> float | None:
    """Return the median duration of the last successful runs of this kind; None if there are fewer than three."""
    filters = RunFilter(environment=run.environment, verb=run.verb, status="succeeded")
    elapsed = (elapsed_seconds(store, earlier) for earlier in store.list_runs(filters, limit=USUAL_RUNS).items)
    durations = [seconds for seconds in elapsed if seconds is not None]
    return median(durations) if len(durations) >= MIN_USUAL_RUNS else None


def elapsed_seconds(store: Store, run: Run) -> float | None:
    """Return the seconds from the start of a run to its end, or until now; None if its times cannot be parsed."""
    started = to_unix_seconds(run.started_at)
    ended = to_unix_seconds(run.ended_at) if run.ended_at else store.clock()
    return None if started is None or ended is None else max(0.0, ended - started)


def create_router() -> APIRouter:
    """Return the route of the run page."""
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
