"""The page of a plan: the view that pull requests have, with search and folding."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from markupsafe import Markup
from starlette.responses import Response

from orchestrator.render import plan_html
from orchestrator.render.plan_view import CostView, view
from orchestrator.state.protocol.records import PlanRecord
from orchestrator.state.server.pages.rendering import show
from orchestrator.state.server.request_context import Keeper, Reader
from orchestrator.state.server.routing import Route


def cost(record: PlanRecord) -> CostView | None:
    """The estimate in a sentence, where there is one."""
    if record.monthly_usd is None:
        return None
    change = record.monthly_change_usd
    moved = f" ({change:+.2f})" if change else ""
    return CostView(f"About {record.monthly_usd:.2f} USD a month{moved}, by list prices", ())


def router() -> APIRouter:
    """``/plans/{digest}``."""
    routes = APIRouter(include_in_schema=False, route_class=Route)

    @routes.get("/plans/{digest}")
    def plan(request: Request, store: Keeper, _: Reader, digest: Annotated[str, Path(max_length=64)]) -> Response:
        record = store.plan(digest)
        if record is None:
            raise HTTPException(404, "no plan with this digest is known here")
        seen = view(record.plan, cost=cost(record), steps=True)
        parts = {name: Markup(part) for name, part in plan_html.parts(seen).items()}  # noqa: S704 - escaped by the renderer
        values = {"key": record.environment, "record": record, "view": seen, "parts": parts}
        return show(request, "plan.html", values)

    return routes
