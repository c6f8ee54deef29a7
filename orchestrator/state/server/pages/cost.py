"""Show what an environment costs: by component and month, over time with its deploys, and against its budgets."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from datetime import UTC, datetime

from fastapi import APIRouter, Request
from msgspec import Struct
from starlette.responses import Response

from orchestrator.cost.applied_months import (
    CostPoint,
    MonthCost,
    MonthForecast,
    accrue_month,
    forecast_month,
    start_of_month,
)
from orchestrator.state.protocol.applied_costs import to_points, usd_by_component
from orchestrator.state.protocol.records import AppliedCost
from orchestrator.state.server.pages.environments import ENVIRONMENT_PATH, PathName, get_environment_or_404
from orchestrator.state.server.pages.rendering import render_page
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute
from orchestrator.state.server.store import Store

MAX_RUNS = 1000
"""Runs whose costs are read, the newest ones: of four a day, eight months."""
MAX_MONTHS = 12
MAX_CHANGES = 20
MAX_CHART_ROWS = 400
MAX_SERIES = 6
"""Components that the chart shows by themselves; the others are one area."""
OTHERS = "other components"


class ComponentRow(Struct, frozen=True):
    """One component in USD: last month, this month so far, forecast, and what it costs a month as it is now.

    ``series`` is the number of its area in the chart.
    """

    name: str
    last_month: float
    so_far: float
    forecast: float
    now: float
    series: int

    @property
    def change(self) -> float:
        """Forecast of this month, less last month."""
        return round(self.forecast - self.last_month, 2)


class CostChange(Struct, frozen=True):
    """A run after which the environment costs something else; ``usd`` a month, ``delta`` to before it."""

    applied: AppliedCost
    usd: float
    delta: float


class ChartRow(Struct, frozen=True):
    """USD a month by series since ``at``; ``mark`` names what was deployed then."""

    at: str
    usd: tuple[float, ...]
    mark: str


class CostPage(Struct, frozen=True):
    """Everything on the page; months and changes newest first.  ``has_last_month``: it was known all of last month."""

    current: AppliedCost
    usd: float
    components: tuple[ComponentRow, ...]
    forecast: MonthForecast
    months: tuple[MonthCost, ...]
    changes: tuple[CostChange, ...]
    series: tuple[str, ...]
    chart: tuple[ChartRow, ...]
    has_last_month: bool

    @property
    def limit(self) -> float | None:
        """The lowest limit of a budget."""
        return min((item.budget.limit for item in self.forecast.budgets), default=None)


def build_cost_page(costs: Iterable[AppliedCost], now: datetime) -> CostPage | None:
    """Return what the page shows at ``now``; None if nothing has been applied yet."""
    applied = sorted(costs, key=lambda item: (item.at, item.run))
    if not applied:
        return None
    points = to_points(applied)
    current, month = applied[-1], start_of_month(now)
    budgets = current.cost.budgets if current.cost else ()
    forecast = forecast_month(points, budgets, now)
    months = tuple(
        accrue_month(points, start_of_month(now, number), now)
        for number in range(MAX_MONTHS)
        if start_of_month(now, number - 1) > points[0].at
    )
    series = _choose_series(points)
    return CostPage(
        current,
        round(sum(points[-1].usd.values()), 2),
        _list_components(points, forecast, now, series),
        forecast,
        months,
        tuple(reversed(_list_changes(applied)))[:MAX_CHANGES],
        series,
        _list_chart_rows(applied, points, series, now),
        points[0].at <= start_of_month(month, 1),
    )


def _choose_series(points: Sequence[CostPoint]) -> tuple[str, ...]:
    """Return the components that have cost most, and the others as one if there are more."""
    peaks: dict[str, float] = {}
    for point in points:
        for name, usd in point.usd.items():
            peaks[name] = max(peaks.get(name, 0.0), usd)
    names = sorted((name for name in peaks if peaks[name] > 0), key=lambda name: (-peaks[name], name))
    return tuple(names) if len(names) <= MAX_SERIES else (*names[: MAX_SERIES - 1], OTHERS)


def _list_components(
    points: Sequence[CostPoint], forecast: MonthForecast, now: datetime, series: tuple[str, ...]
) -> tuple[ComponentRow, ...]:
    last_month = accrue_month(points, start_of_month(now, 1), now).usd
    projected_month = accrue_month(points, start_of_month(now), start_of_month(now, -1)).usd
    current = points[-1].usd
    rows = [
        ComponentRow(
            name,
            last_month.get(name, 0.0),
            forecast.so_far.usd.get(name, 0.0),
            projected_month.get(name, 0.0),
            current.get(name, 0.0),
            series.index(name) if name in series else len(series) - 1,
        )
        for name in {**last_month, **projected_month}
    ]
    return tuple(sorted(rows, key=lambda row: (-max(row.forecast, row.last_month), row.name)))


def _list_changes(applied: Sequence[AppliedCost]) -> list[CostChange]:
    """Return the runs that changed the cost by a cent or more, the first one included."""
    changes: list[CostChange] = []
    before = 0.0
    for item in applied:
        usd = round(sum(usd_by_component(item).values()), 2)
        if not changes or abs(usd - before) >= 0.01:
            changes.append(CostChange(item, usd, round(usd - before, 2)))
        before = usd
    return changes


def _list_chart_rows(
    applied: Sequence[AppliedCost], points: Sequence[CostPoint], series: tuple[str, ...], now: datetime
) -> tuple[ChartRow, ...]:
    """Return the newest points, the last repeated at ``now``."""
    rows = [
        ChartRow(item.at, _sum_series(point, series), _mark(item)) for item, point in zip(applied, points, strict=True)
    ][-MAX_CHART_ROWS:]
    return (*rows, ChartRow(now.astimezone(UTC).isoformat(timespec="seconds"), rows[-1].usd, ""))


def _sum_series(point: CostPoint, series: tuple[str, ...]) -> tuple[float, ...]:
    others = sum(usd for name, usd in point.usd.items() if name not in series)
    return tuple(round(others if name == OTHERS else point.usd.get(name, 0.0), 2) for name in series)


def _mark(applied: AppliedCost) -> str:
    if applied.verb not in {"deploy", "rollback"}:
        return ""
    return f"{applied.verb} of release {applied.release}" if applied.release else applied.verb


def create_router() -> APIRouter:
    """Return the route of the page."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get(f"{ENVIRONMENT_PATH}/cost")
    def show_cost(request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName) -> Response:
        environment = get_environment_or_404(store, project, name)
        now = datetime.fromtimestamp(store.clock(), UTC)
        page = build_cost_page(read_costs(store, environment.key), now)
        return render_page(request, "cost.html", {"key": environment.key, "tab": "cost", "page": page})

    return routes


def read_costs(store: Store, environment: str) -> tuple[AppliedCost, ...]:
    """Return the costs of the newest runs, newest first."""
    costs: list[AppliedCost] = []
    cursor = ""
    while len(costs) < MAX_RUNS:
        page = store.list_applied_costs(environment, cursor, MAX_RUNS - len(costs))
        costs.extend(page.items)
        cursor = page.cursor
        if not cursor:
            break
    return tuple(costs)
