"""What was applied costs from its moment on: by component, over a month, and until the month's end."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cost.applied_months import CostPoint, accrue_month, forecast_month, start_of_month
from orchestrator.cost.stack_cost import BudgetLimit

NOVEMBER = datetime(2026, 11, 1, tzinfo=UTC)
OCTOBER, DECEMBER = datetime(2026, 10, 1, tzinfo=UTC), datetime(2026, 12, 1, tzinfo=UTC)


def day(number: int, hour: int = 0) -> datetime:
    return NOVEMBER + timedelta(days=number - 1, hours=hour)


@pytest.mark.parametrize(
    ("points", "until", "expected"),
    [
        pytest.param([CostPoint(OCTOBER, {"a": 30})], DECEMBER, {"a": 30}, id="the whole month"),
        pytest.param([CostPoint(OCTOBER, {"a": 30})], day(11), {"a": 10}, id="ten of thirty days"),
        pytest.param([CostPoint(day(16), {"a": 30})], DECEMBER, {"a": 15}, id="since the middle"),
        pytest.param(
            [CostPoint(OCTOBER, {"a": 30}), CostPoint(day(16), {"a": 60, "b": 6})],
            DECEMBER,
            {"a": 45, "b": 3},
            id="a change in the middle",
        ),
        pytest.param(
            [CostPoint(OCTOBER, {"a": 30, "b": 30}), CostPoint(day(4), {"a": 30})],
            DECEMBER,
            {"a": 30, "b": 3},
            id="what is removed costs until then",
        ),
        pytest.param([CostPoint(DECEMBER, {"a": 30})], DECEMBER, {}, id="the month before"),
        pytest.param([CostPoint(OCTOBER, {"a": 30}), CostPoint(day(1), {})], DECEMBER, {}, id="destroyed"),
        pytest.param([], DECEMBER, {}, id="nothing"),
    ],
)
def test_a_month_costs_what_was_applied_in_it(
    points: list[CostPoint], until: datetime, expected: dict[str, float]
) -> None:
    assert accrue_month(points, NOVEMBER, until).usd == expected


def test_nights_of_hibernation_count_with_their_own_cost() -> None:
    """Twelve hours of 20 USD and twelve of 2 USD a month, every day: 11 USD, not the cost of each day's last run."""
    points = [CostPoint(OCTOBER, {"a": 2})]
    for number in range(1, 31):
        points += [CostPoint(day(number, 7), {"a": 20}), CostPoint(day(number, 19), {"a": 2})]

    assert accrue_month(points, NOVEMBER, DECEMBER).total == pytest.approx(11)


def test_the_forecast_says_when_each_alert_fires() -> None:
    """The user's alerts of 20, 40 and 60 USD, and a stack that grows from 30 to 60 USD a month in the middle."""
    points = [CostPoint(OCTOBER, {"a": 30}), CostPoint(day(16), {"a": 60})]

    forecast = forecast_month(points, [BudgetLimit("budget.monthly", 60, (20, 40, 60))], day(21))

    assert forecast.so_far.total == 25
    assert forecast.total == 45
    [budget] = forecast.budgets
    assert (budget.fraction, budget.is_exceeded) == (0.75, False)
    reached = [alert.reached_at for alert in budget.alerts]
    assert reached[0] is not None
    assert abs(reached[0] - day(18, 12)) <= timedelta(minutes=10)
    assert reached[1:] == [day(28, 12), None]


def test_a_stack_that_is_gone_exceeds_nothing_more() -> None:
    points = [CostPoint(OCTOBER, {"a": 300}), CostPoint(day(2), {})]

    forecast = forecast_month(points, [BudgetLimit("budget.monthly", 60, (5,))], day(21))

    assert (forecast.so_far.total, forecast.total) == (10, 10)
    assert [alert.reached_at is not None for alert in forecast.budgets[0].alerts] == [True]
    assert not forecast.budgets[0].is_exceeded


moments = st.integers(0, 120 * 24).map(lambda hours: datetime(2026, 9, 1, tzinfo=UTC) + timedelta(hours=hours))


@given(
    points=st.lists(st.builds(CostPoint, moments, st.dictionaries(st.sampled_from("abc"), st.floats(0, 900)))),
    now=moments,
)
def test_months_add_up(points: list[CostPoint], now: datetime) -> None:
    """A month in two parts costs what it costs whole; the forecast is never below what it cost so far."""
    ordered = sorted((point for point in points if point.at <= now), key=lambda point: point.at)
    month = start_of_month(now)

    forecast = forecast_month(ordered, [BudgetLimit("budget.b", 50, (10,))], now)

    assert forecast.total >= forecast.so_far.total - 0.01
    later = accrue_month(ordered, month, start_of_month(now, -1)).total
    assert later == pytest.approx(forecast.total, abs=0.05)
    assert start_of_month(start_of_month(now, -1), 1) == month
