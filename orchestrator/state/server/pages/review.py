"""Show the newest monthly review of an environment: cost by component against last month, and what it found."""

from __future__ import annotations

from datetime import UTC, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.state.server.pages.cost import build_cost_page, read_costs
from orchestrator.state.server.pages.environments import ENVIRONMENT_PATH, PathName, get_environment_or_404
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute


def create_router() -> APIRouter:
    """Return the route of the page."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get(f"{ENVIRONMENT_PATH}/review")
    def show_review(request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName) -> Response:
        key = get_environment_or_404(store, project, name).key
        page = build_cost_page(read_costs(store, key), datetime.fromtimestamp(store.clock(), UTC))
        values = {"key": key, "tab": "review", "review": store.get_review(key), "page": page}
        return render_page(request, "review.html", values)

    return routes
