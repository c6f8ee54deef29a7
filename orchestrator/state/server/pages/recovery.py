"""Show how an environment is recovered: the last restore drill of each database, and a checklist for each emergency."""

from __future__ import annotations

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.state.server.pages.drill_view import list_drill_views
from orchestrator.state.server.pages.environments import ENVIRONMENT_PATH, PathName, get_environment_or_404
from orchestrator.state.server.pages.recovery_checklist import build_checklist
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute


def create_router() -> APIRouter:
    """Return the route of the recovery page."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get(ENVIRONMENT_PATH + "/recovery")
    def show_recovery(
        request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName
    ) -> Response:
        environment = get_environment_or_404(store, project, name)
        drift = environment.drift
        drills = list_drill_views(drift.drills if drift else None, store.clock())
        database = drills[0].drill.database if drills else "main"
        values = {
            "key": environment.key,
            "name": name,
            "tab": "recovery",
            "drills": drills,
            "checked_at": drift.at if drift else "",
            "emergencies": build_checklist(name, database),
        }
        return render_page(request, "recovery.html", values)

    return routes
