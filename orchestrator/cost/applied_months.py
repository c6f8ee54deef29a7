"""What a stack cost in a month at list prices, from what was applied when, and a forecast for the month.  Pure.

The cost between two runs is what the first of them left; so nights of hibernation and the days before a change count
with their own cost.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from orchestrator.cost.stack_cost import BudgetLimit


class CostPoint(Struct, frozen=True):
    """USD a month by component, from ``at`` until the next point."""

    at: datetime
    usd: Mapping[str, float]


class MonthCost(Struct, frozen=True):
    """USD that one month cost by component, from the first point in it or its first day until ``until``."""

    first_day: datetime
    until: datetime
    usd: Mapping[str, float]

    @property
    def total(self) -> float:
        """Cost of all components."""
        return round(sum(self.usd.values()), 2)


class AlertForecast(Struct, frozen=True):
    """An amount of a budget, and when this month's cost reaches it; None: not this month."""

    usd: float
    reached_at: datetime | None


class BudgetForecast(Struct, frozen=True):
    """A budget, its use by the end of the month as a fraction of its limit, and when its amounts are reached."""

    budget: BudgetLimit
    fraction: float
    alerts: tuple[AlertForecast, ...]
    limit: AlertForecast

    @property
    def is_exceeded(self) -> bool:
        """Whether the month is forecast to cost more than the limit."""
        return self.limit.reached_at is not None


class MonthForecast(Struct, frozen=True):
    """The current month: its cost so far, at its end if nothing changes, and what that means for the budgets."""

    so_far: MonthCost
    total: float
    budgets: tuple[BudgetForecast, ...]


def start_of_month(moment: datetime, months_before: int = 0) -> datetime:
    """Return the first moment of the month of ``moment`` in UTC, or of the month ``months_before`` earlier."""
    count = moment.year * 12 + moment.month - 1 - months_before
    return datetime(count // 12, count % 12 + 1, 1, tzinfo=UTC)


def accrue_month(points: Sequence[CostPoint], month: datetime, until: datetime) -> MonthCost:
    """Return what the month that starts at ``month`` cost until ``until`` or its end.  ``points`` ascend in time."""
    next_month = start_of_month(month, -1)
    end = min(until, next_month)
    usd: dict[str, float] = {}
    for position, point in enumerate(points):
        begin = max(point.at, month)
        following = points[position + 1].at if position + 1 < len(points) else end
        share = (min(following, end) - begin) / (next_month - month)
        if share > 0:
            for component, amount in point.usd.items():
                usd[component] = usd.get(component, 0.0) + amount * share
    return MonthCost(month, end, {component: round(amount, 2) for component, amount in usd.items()})


def forecast_month(points: Sequence[CostPoint], budgets: Sequence[BudgetLimit], now: datetime) -> MonthForecast:
    """Return the forecast of this month, if the stack stays as it is at ``now``."""
    month = start_of_month(now)
    so_far = accrue_month(points, month, now)
    rate = sum(points[-1].usd.values()) if points else 0.0
    length = start_of_month(now, -1) - month
    total = so_far.total + rate * ((month + length - now) / length)

    def reach(amount: float) -> AlertForecast:
        return AlertForecast(amount, _reach(points, amount, month, now, so_far.total, rate))

    forecasts = [
        BudgetForecast(budget, total / budget.limit, tuple(map(reach, budget.alerts)), reach(budget.limit))
        for budget in budgets
        if budget.limit > 0
    ]
    return MonthForecast(so_far, round(total, 2), tuple(forecasts))


def _reach(
    points: Sequence[CostPoint], amount: float, month: datetime, now: datetime, so_far: float, rate: float
) -> datetime | None:
    """Return when the cost of the month reaches ``amount``; None if it does not before its end."""
    next_month = start_of_month(month, -1)
    if so_far < amount:
        if so_far + rate * ((next_month - now) / (next_month - month)) <= amount:
            return None
        return now + (amount - so_far) / rate * (next_month - month)
    low, high = month, now  # the cost never falls within a month, so halving finds the moment
    while high - low > timedelta(minutes=1):
        middle = low + (high - low) / 2
        low, high = (low, middle) if accrue_month(points, month, middle).total >= amount else (middle, high)
    return high
