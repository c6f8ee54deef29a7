"""Show the digest of a week: deploys, failures, drift, cost and dates of every environment."""

from __future__ import annotations

from datetime import UTC, date, datetime

from fastapi import APIRouter, Request
from starlette.responses import Response

from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.request_context import CurrentReader, QueryText, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute
from orchestrator.state.server.weekly_digest import WEEK, build_digest, describe_drift, describe_runs, start_of_week


def create_router() -> APIRouter:
    """Return the route of the page."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get("/digest")
    def show_digest(request: Request, store: StoreDep, _: CurrentReader, week: QueryText = "") -> Response:
        now = datetime.fromtimestamp(store.clock(), UTC)
        since = parse_week(week, now)
        values = {
            "digest": build_digest(store, since, now),
            "describe_drift": describe_drift,
            "describe_runs": describe_runs,
            "previous": (since - WEEK).date().isoformat(),
            "next": (since + WEEK).date().isoformat() if since + WEEK <= now else "",
            "is_over": since + WEEK <= now,
        }
        return render_page(request, "digest.html", values)

    return routes


def parse_week(text: str, now: datetime) -> datetime:
    """Return the start of the week of a date; this week if ``text`` is no date, or one that has not come yet."""
    try:
        day = date.fromisoformat(text)
        since = start_of_week(datetime(day.year, day.month, day.day, tzinfo=UTC))
    except (ValueError, OverflowError):
        return start_of_week(now)
    return since if since - datetime.min.replace(tzinfo=UTC) > WEEK and since <= now else start_of_week(now)
