"""Costs that change although nobody changes the stack: golden tables on both sides of every date."""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta

import pytest

from orchestrator import cost
from orchestrator.cost import scheduled_changes
from orchestrator.cost.support_calendar import STANDARD_SUPPORT_ENDS, extended_support_charges
from orchestrator.planning.plan import PreparedPlan, Task
from orchestrator.render import cost_report
from orchestrator.runs import plan_output
from orchestrator.vocabulary import Action, Change, Plan, Resource, Scope
from tests.cost.priced_stacks import make

CHARGED = "open-source-rds-extended-support"
INSTANCE, STORAGE = 0.145 * 730, 20 * 0.115
FIRST, LATER = 2 * 0.1 * 730, 2 * 0.2 * 730
"""A db.t3.large has two vCPUs; us-east-1 charges 0.10 USD an hour for each, then 0.20 (infracost's golden file)."""

CHARGES = {
    "11": (date(2024, 4, 1), date(2026, 4, 1)),
    "12": (date(2025, 3, 1), date(2027, 3, 1)),
    "13": (date(2026, 3, 1), date(2028, 3, 1)),
    "14": (date(2027, 3, 1), date(2029, 3, 1)),
    "15": (date(2028, 3, 1), date(2030, 3, 1)),
    "16": (date(2029, 3, 1), date(2031, 3, 1)),
    "17": (date(2030, 3, 1), date(2032, 3, 1)),
    "18": (date(2031, 3, 1), date(2033, 3, 1)),
}
"""First days of both charges, from AWS's release calendar of RDS for PostgreSQL."""


def database(version: str, support: str = CHARGED) -> Resource:
    spec = {"instance_class": "db.t3.large", "storage_type": "gp3", "storage_gb": 20, "engine": "postgres"}
    return make("rds_instance.main", **spec, version=version, lifecycle_support=support)


def test_the_table_has_every_version() -> None:
    assert CHARGES.keys() == STANDARD_SUPPORT_ENDS.keys()
    assert {major: extended_support_charges(major) for major in CHARGES} == CHARGES


@pytest.mark.parametrize("major", CHARGES)
def test_the_cost_on_both_sides_of_every_date(major: str) -> None:
    base = round(INSTANCE + STORAGE, 2)
    days = [day - timedelta(days=before) for day in CHARGES[major] for before in (1, 0)]
    table = [
        (cost.estimate([database(major)], "us-east-1", on=day).idle, [change.on for change in changes(day, major)])
        for day in days
    ]

    assert table == [
        (base, [days[1]]),
        (round(base + FIRST, 2), []),
        (round(base + FIRST, 2), [days[3]]),
        (round(base + LATER, 2), []),
    ]


@pytest.mark.parametrize("major", CHARGES)
def test_a_change_is_listed_a_year_ahead(major: str) -> None:
    first, third = CHARGES[major]

    assert changes(first - timedelta(days=366), major) == []
    [begins] = changes(first - timedelta(days=365), major)
    [doubles] = changes(third - timedelta(days=365), major)
    assert (begins.on, doubles.on) == (first, third)
    assert begins.after - begins.before == pytest.approx(FIRST)
    assert doubles.after - doubles.before == pytest.approx(LATER - FIRST)
    assert begins.is_complete
    assert doubles.is_complete


def changes(on: date, major: str, support: str = CHARGED) -> list[scheduled_changes.ScheduledChange]:
    return scheduled_changes.list_scheduled_changes([database(major, support)], "us-east-1", None, on)


def test_a_database_without_extended_support_has_no_scheduled_cost() -> None:
    assert changes(date(2026, 12, 1), "14", f"{CHARGED}-disabled") == []


def test_a_charge_without_a_price_is_no_change_of_cost() -> None:
    found = scheduled_changes.list_scheduled_changes([database("14")], "eu-central-1", None, date(2026, 12, 1))

    assert found == []


def test_a_change_names_both_costs_the_day_and_the_cause() -> None:
    [change] = changes(date(2026, 12, 1), "14")

    assert change.describe() == (
        "From 2027-03-01, the stack costs 254.15 USD a month idle instead of 108.15: rds_instance.main 108.15 to "
        "254.15 (db.t3.large, 20 GB gp3, one zone; RDS Extended Support for PostgreSQL 14)."
    )


def test_cost_shows_it_as_text_and_as_data() -> None:
    on = date(2026, 12, 1)
    scheduled = changes(on, "14")
    estimate = cost.estimate([database("14")], "us-east-1", on=on)

    assert scheduled[0].describe() in cost_report.render_text(estimate, (), on, None, (), scheduled)
    [row] = cost_report.to_json(estimate, (), on, None, (), scheduled)["scheduled_changes"]
    assert (row["on"], row["before_usd"], row["after_usd"]) == ("2027-03-01", 108.15, 254.15)


def test_a_plan_shows_it_and_what_changes_by_component() -> None:
    """A plan is made today, so the first version whose charge begins within a year from then on, if there is one."""
    on = datetime.now(UTC).date()
    major = next((key for key, days in CHARGES.items() if on < days[0] <= on + timedelta(days=365)), None)
    new = database(major or "17")
    change = Change(new.address, Action.CREATE, "main", new.component)
    plan = Plan("shop", "prod", "123456789012", "us-east-1", (change,))
    tasks = {new.address: Task(resource=new, live=None)}
    view = plan_output.cost_view(PreparedPlan(plan, Scope("shop", "prod", "123456789012", "us-east-1"), tasks, {}))

    assert view is not None
    assert view.changes == ((new.component, 0.0, 108.15),)
    assert any("From " in note and "254.15" in note for note in view.notes) is (major is not None)
