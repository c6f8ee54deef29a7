"""Show a plan as pull requests show it, with search and collapsible components."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from markupsafe import Markup
from starlette.responses import Response

from orchestrator.render import plan_html
from orchestrator.render.plan_view import CostView, build_view
from orchestrator.state.protocol.records import PlanRecord
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute


def build_cost_view(record: PlanRecord) -> CostView | None:
    """Return the cost estimate of a plan, None if there is none."""
    if record.monthly_usd is None:
        return None
    change = record.monthly_change_usd
    change_text = f" ({change:+.2f})" if change else ""
    return CostView(f"About {record.monthly_usd:.2f} USD per month{change_text}, at list prices", ())


def create_router() -> APIRouter:
    """Return the route of the plan page."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get("/plans/{digest}")
    def show_plan(
        request: Request, store: StoreDep, _: CurrentReader, digest: Annotated[str, Path(max_length=64)]
    ) -> Response:
        record = store.get_plan(digest)
        if record is None:
            raise HTTPException(404, "no plan with this digest")
        plan_view = build_view(record.plan, cost=build_cost_view(record), include_steps=True)
        parts = {name: Markup(part) for name, part in plan_html.render_parts(plan_view).items()}  # noqa: S704 - escaped by the renderer
        values = {"key": record.environment, "record": record, "view": plan_view, "parts": parts}
        return render_page(request, "plan.html", values)

    return routes
