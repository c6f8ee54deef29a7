"""Show all runs with filters, the delivery metrics, and the audit log."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Request
from msgspec import Struct
from msgspec.structs import asdict, replace
from starlette.responses import Response

from orchestrator.state.protocol.records import RunStatus, RunVerb
from orchestrator.state.server.filters import DeliveryMetrics, HistoryFilter
from orchestrator.state.server.pages.formatting import EMPTY_PLACEHOLDER, format_duration
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.request_context import CurrentReader, QueryText, RunFilterQuery, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute

PAGE_SIZE = 30
MAX_WEEKS = 26
TREND_WEEKS = 4
"""Number of weeks in each of the two periods that are compared."""


class MetricTrend(Struct, frozen=True):
    """One delivery metric: its value in the last weeks and in the weeks before."""

    name: str
    now: str
    before: str
    better: str
    """``better``, ``worse`` or ``same``."""


def compute_metric_trends(deliveries: Sequence[DeliveryMetrics]) -> tuple[MetricTrend, ...]:
    """Return the four metrics of the last weeks compared with those of the weeks before."""
    recent, previous = deliveries[-TREND_WEEKS:], deliveries[-2 * TREND_WEEKS : -TREND_WEEKS]
    return (
        _build_metric_trend(
            "Deploys per week", _deploys_per_week(recent), _deploys_per_week(previous), "{:.1f}", is_lower_better=False
        ),
        _build_metric_trend(
            "Lead time", _mean_of(recent, "lead_seconds"), _mean_of(previous, "lead_seconds"), "", is_lower_better=True
        ),
        _build_metric_trend(
            "Change failure rate",
            _change_failure_rate(recent),
            _change_failure_rate(previous),
            "{:.0%}",
            is_lower_better=True,
        ),
        _build_metric_trend(
            "Time to restore",
            _mean_of(recent, "restore_seconds"),
            _mean_of(previous, "restore_seconds"),
            "",
            is_lower_better=True,
        ),
    )


def fill_missing_weeks(deliveries: Sequence[DeliveryMetrics]) -> tuple[DeliveryMetrics, ...]:
    """Return the last half year week by week, with zeros for weeks without runs."""
    if not deliveries:
        return ()
    by_week = {delivery.week: delivery for delivery in deliveries}
    last = date.fromisoformat(deliveries[-1].week)
    first = max(date.fromisoformat(deliveries[0].week), last - timedelta(weeks=MAX_WEEKS - 1))
    days = (first + timedelta(weeks=number) for number in range((last - first).days // 7 + 1))
    return tuple(by_week.get(day.isoformat(), DeliveryMetrics(day.isoformat(), 0, 0)) for day in days)


def _build_metric_trend(
    name: str, now: float | None, before: float | None, number_format: str, *, is_lower_better: bool
) -> MetricTrend:
    def format_value(value: float | None) -> str:
        return (
            EMPTY_PLACEHOLDER
            if value is None
            else number_format.format(value)
            if number_format
            else format_duration(value)
        )

    if now is None or before is None or abs(now - before) <= abs(before) * 0.02:
        return MetricTrend(name, format_value(now), format_value(before), "same")
    return MetricTrend(
        name, format_value(now), format_value(before), "better" if (now < before) is is_lower_better else "worse"
    )


def _deploys_per_week(deliveries: Sequence[DeliveryMetrics]) -> float | None:
    return sum(delivery.deploys for delivery in deliveries) / len(deliveries) if deliveries else None


def _change_failure_rate(deliveries: Sequence[DeliveryMetrics]) -> float | None:
    deploys = sum(delivery.deploys for delivery in deliveries)
    return sum(delivery.failures for delivery in deliveries) / deploys if deploys else None


def _mean_of(deliveries: Sequence[DeliveryMetrics], name: str) -> float | None:
    values = [value for delivery in deliveries if (value := getattr(delivery, name)) is not None]
    return sum(values) / len(values) if values else None


def _parse_day(text: str) -> str:
    """Return a date as YYYY-MM-DD, "" if it cannot be parsed."""
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        return ""


def _next_day(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat() if day and day < "9999-12-31" else ""


def create_router() -> APIRouter:
    """Return the routes of the history page and of the audit log."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)
    _add_history_page(routes)
    _add_audit_log_page(routes)
    return routes


def _add_history_page(routes: APIRouter) -> None:
    @routes.get("/history")
    def show_history(
        request: Request, store: StoreDep, _: CurrentReader, query: RunFilterQuery, cursor: QueryText = ""
    ) -> Response:
        form_filter = replace(
            query,
            by=query.by.strip(),
            commit=query.commit.strip(),
            since=_parse_day(query.since),
            until=_parse_day(query.until),
        )
        run_filter = replace(form_filter, until=_next_day(form_filter.until))
        page = store.list_runs(run_filter, cursor, PAGE_SIZE)
        active_filters = {name: filter_value for name, filter_value in asdict(form_filter).items() if filter_value}
        weeks = () if cursor else fill_missing_weeks(store.list_delivery_metrics(query.environment))
        values = {
            "metrics": compute_metric_trends(weeks),
            "weeks": weeks,
            "filters": form_filter,
            "is_filtered": bool(active_filters),
            "runs": page.items,
        }
        choices = {
            "environment_keys": store.list_environment_keys(),
            "statuses": get_args(RunStatus),
            "verbs": get_args(RunVerb),
        }
        older_url = f"/history?{urlencode({**active_filters, 'cursor': page.cursor})}" if page.cursor else ""
        return render_page(request, "history.html", {**values, **choices, "older_url": older_url})


def _add_audit_log_page(routes: APIRouter) -> None:
    @routes.get("/history/log")
    def show_audit_log(
        request: Request,
        store: StoreDep,
        _: CurrentReader,
        environment: QueryText = "",
        by: QueryText = "",
        cursor: QueryText = "",
    ) -> Response:
        page = store.list_history(HistoryFilter(environment=environment, by=by.strip()), cursor, PAGE_SIZE)
        active_filters = {
            name: filter_value for name, filter_value in (("environment", environment), ("by", by)) if filter_value
        }
        older_url = f"/history/log?{urlencode({**active_filters, 'cursor': page.cursor})}" if page.cursor else ""
        values = {
            "environment": environment,
            "by": by,
            "environment_keys": store.list_environment_keys(),
            "entries": page.items,
            "older_url": older_url,
        }
        return render_page(request, "log.html", values)
