"""Show all environments on the start page, and the overview page of one environment."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from msgspec import Struct
from starlette.responses import Response

from orchestrator.state.protocol.records import Conflict, Environment, Lease, PullRequestPlan
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.filters import RunFilter
from orchestrator.state.server.pages.drill_view import choose_worst, list_drill_views
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute

PathName = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
ENVIRONMENT_PATH = "/e/{project}/{name}"
MAX_WITHOUT_ATTENTION = 6
"""Environments up to which the start page does not name those that need attention before it shows all."""
MAX_ATTENTION_LINKS = 5
MAX_RECENT_RUNS = 8
"""Number of recent runs on each page."""


class EnvironmentSummary(Struct, frozen=True):
    """One environment; ``sync_status`` is the worst state that a drift check found, ``held_since`` a timestamp."""

    environment: Environment
    sync_status: str
    held_since: str = ""

    @property
    def is_healthy(self) -> bool:
        return self.environment.health == "healthy" and self.sync_status == "in sync"


class Attention(Struct, frozen=True):
    """Environments in one state that somebody should look at: the first ones by key, and the number of the others."""

    state: str
    keys: tuple[str, ...]
    omitted: int


def list_attention(summaries: Sequence[EnvironmentSummary]) -> tuple[Attention, ...]:
    """Return what needs attention; empty if the environments are few enough to see."""
    if len(summaries) <= MAX_WITHOUT_ATTENTION:
        return ()
    groups = {
        "failed": [item for item in summaries if _has_failed(item.environment)],
        **{
            state: [item for item in summaries if item.sync_status == state]
            for state in ("drifted", "unhealthy", "pending")
        },
    }
    return tuple(
        Attention(
            state,
            tuple(item.environment.key for item in items[:MAX_ATTENTION_LINKS]),
            max(0, len(items) - MAX_ATTENTION_LINKS),
        )
        for state, items in groups.items()
        if items
    )


def _has_failed(environment: Environment) -> bool:
    last_run = environment.last_run
    return environment.health == "failed" or (last_run is not None and last_run.status in {"failed", "lost"})


def summarize_environment(environment: Environment) -> EnvironmentSummary:
    """Return what the start page shows about an environment."""
    report, lease = environment.drift, environment.lease
    sync_status = "not checked" if report is None else report.status
    return EnvironmentSummary(environment, sync_status, lease_acquired_at(lease))


def lease_acquired_at(lease: Lease | None) -> str:
    """Return the timestamp at which the lease was acquired, "" if it is free."""
    return format_timestamp(lease.holder.taken) if lease and lease.holder else ""


def _sort_key(summary: EnvironmentSummary) -> tuple[str, bool, str]:
    """Sort by project, production first."""
    environment = summary.environment
    return environment.project, not environment.name.startswith("prod"), environment.name


class PullRequestView(Struct, frozen=True):
    """An open pull request and the open pull requests that it conflicts with."""

    plan: PullRequestPlan
    conflicts: tuple[Conflict, ...]


def get_environment_or_404(store: StoreDep, project: str, name: str) -> Environment:
    """Return the environment.

    Raises HTTPException 404 if there is none with this name.
    """
    environment = store.get_environment(f"{project}/{name}")
    if environment is None:
        raise HTTPException(404, f"no environment named {project}/{name}")
    return environment


def create_router() -> APIRouter:
    """Return the routes of the start page and of the overview page."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)
    _add_start_page(routes)
    _add_overview_page(routes)
    return routes


def _add_start_page(routes: APIRouter) -> None:
    @routes.get("/")
    def show_environments(request: Request, store: StoreDep, _: CurrentReader) -> Response:
        summaries = tuple(sorted(map(summarize_environment, store.list_environments()), key=_sort_key))
        costs = [
            summary.environment.monthly_usd for summary in summaries if summary.environment.monthly_usd is not None
        ]
        runs = store.list_runs(limit=MAX_RECENT_RUNS).items
        service_url = request.app.state.settings.public_url or str(request.base_url)
        values = {
            "summaries": summaries,
            "attention": list_attention(summaries),
            "total": sum(costs) if costs else None,
            "runs": runs,
            "service_url": service_url.rstrip("/"),
        }
        return render_page(request, "environments.html", values)


def _add_overview_page(routes: APIRouter) -> None:
    @routes.get(ENVIRONMENT_PATH)
    def show_environment(
        request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName
    ) -> Response:
        environment = get_environment_or_404(store, project, name)
        pulls = tuple(
            PullRequestView(plan, store.list_conflicts(environment.key, plan.number))
            for plan in store.list_pull_requests(environment.key)
        )
        runs = store.list_runs(RunFilter(environment=environment.key), limit=MAX_RECENT_RUNS).items
        waiting = (
            tuple((waiter, format_timestamp(waiter.since)) for waiter in environment.lease.waiting)
            if environment.lease
            else ()
        )
        drills = list_drill_views(environment.drift.drills if environment.drift else None, store.clock())
        values = {
            "summary": summarize_environment(environment),
            "drill": choose_worst(drills),
            "pulls": pulls,
            "runs": runs,
            "waiting": waiting,
            "key": environment.key,
            "tab": "",
        }
        return render_page(request, "environment.html", values)
