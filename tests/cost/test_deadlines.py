"""Dates on which AWS changes what a stack costs: both sides of each."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest
from msgspec import Struct
from msgspec.structs import replace

from orchestrator.cost import deadlines
from orchestrator.cost.account_offers import months_covered, offer_for
from orchestrator.cost.support_calendar import STANDARD_SUPPORT_ENDS, extended_support_end, extended_support_period
from orchestrator.planning import guards
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Position
from orchestrator.vocabulary import Action, Change, DesiredState, LiveResource, Resource, Scope

CHARGED = "open-source-rds-extended-support"


class TaskOf(Struct, frozen=True):
    """The part of a task that guards read."""

    resource: Resource
    live: LiveResource | None = None
    discovered: None = None


def database(version: str, support: str = f"{CHARGED}-disabled", **spec: Any) -> Resource:
    values = {"engine": "postgres", "version": version, "lifecycle_support": support, **spec}
    return Resource("rds_instance", "main", "main", values, "database.main", Position("x.yaml"))


@pytest.mark.parametrize(("days_before", "is_warned"), [(181, False), (180, True), (0, True), (-100, True)])
def test_a_plan_warns_half_a_year_ahead_and_after(days_before: int, is_warned: bool) -> None:
    on = STANDARD_SUPPORT_ENDS["14"] - timedelta(days=days_before)
    warnings = list(deadlines.list_warnings([database("14.9")], on))

    assert bool(warnings) is is_warned
    assert all("2027-02-28" in warning and "change `version`" in warning for warning in warnings)


def test_who_pays_for_extended_support_is_told_of_both_charges() -> None:
    found = deadlines.list_deadlines([database("14", CHARGED)])

    assert [item.on for item in found] == [date(2027, 3, 1), date(2029, 3, 1), date(2030, 2, 28)]
    assert "charged" in found[0].effect
    assert "doubles" in found[1].effect
    assert "extended support of PostgreSQL 14 ends" in found[2].effect


def test_extended_support_ends_when_the_api_says_so() -> None:
    """DescribeDBMajorEngineVersions on 2026-06-23: 13 until 2029-02-28T23:59; release calendar: 11 until 2027-03-31."""
    assert extended_support_end("13") == date(2029, 2, 28)
    assert extended_support_end("11") == date(2027, 3, 31)
    assert extended_support_end("12") == date(2028, 2, 29)
    assert extended_support_end("99") is None


@pytest.mark.parametrize(
    ("version", "support", "on", "words"),
    [
        ("13.20", f"{CHARGED}-disabled", date(2026, 2, 28), ""),
        ("13.20", f"{CHARGED}-disabled", date(2026, 3, 1), "standard support of PostgreSQL 13 ended on 2026-02-28"),
        ("13.20", CHARGED, date(2026, 3, 1), ""),
        ("13.20", CHARGED, date(2029, 2, 28), ""),
        ("13.20", CHARGED, date(2029, 3, 1), "AWS ended support for PostgreSQL 13 on 2029-02-28"),
        ("99", f"{CHARGED}-disabled", date(2026, 3, 1), ""),
    ],
)
def test_a_plan_refuses_a_new_database_that_aws_refuses(version: str, support: str, on: date, words: str) -> None:
    """AWS refuses with its own error only in the middle of the apply; an existing database is left to its dates."""
    resource = database(version, support, identifier="main", instance_class="db.t4g.micro")
    desired = DesiredState(Scope("shop", "prod", "123456789012", "eu-west-1"), (resource,))
    change = Change("rds_instance.main", Action.CREATE, physical="main", component="database.main")
    for action, is_vetoed in ((Action.CREATE, bool(words)), (Action.UPDATE, False)):
        context = guards.GuardContext(
            desired, Snapshot("123456789012", {}), {resource.address: TaskOf(resource)}, on=on
        )
        vetoes = list(guards.check_support(replace(change, action=action), context))
        assert bool(vetoes) is is_vetoed
        assert all(words in veto.sentence and "set `version` to" in veto.sentence for veto in vetoes)


@pytest.mark.parametrize("major", sorted(STANDARD_SUPPORT_ENDS))
def test_every_version_is_charged_from_the_day_after_its_support(major: str) -> None:
    """AWS's release calendar: years 1 and 2, then year 3. PostgreSQL 11 was charged a month later, in both."""
    end = STANDARD_SUPPORT_ENDS[major]
    first_day = date(2024, 4, 1) if major == "11" else end + timedelta(days=1)

    assert extended_support_period(major, first_day - timedelta(days=1)) is None
    assert extended_support_period(major, first_day) == "year-1"
    third_year = first_day.replace(year=end.year + 2)
    assert extended_support_period(major, third_year - timedelta(days=1)) == "year-1"
    assert extended_support_period(major, third_year) == "year-3"
    dates = [item.on for item in deadlines.list_deadlines([database(major, CHARGED)])]
    assert dates[:2] == [first_day, third_year]


def test_an_unknown_version_has_no_dates() -> None:
    assert deadlines.list_deadlines([database("99"), database("")]) == []


def test_two_databases_have_their_own_dates_in_order() -> None:
    second = Resource("rds_instance", "old", "old", database("13").spec, "database.old", Position("x.yaml"))

    found = deadlines.select_due(deadlines.list_deadlines([database("14"), second]), date(2026, 1, 1), 3650)

    assert [(item.address, item.on) for item in found] == [
        ("rds_instance.old", date(2026, 2, 28)),
        ("rds_instance.main", date(2027, 2, 28)),
    ]


@pytest.mark.parametrize(
    ("created", "words", "ends", "closes"),
    [
        (date(2025, 7, 14), "12 free months", date(2026, 7, 14), None),
        (date(2025, 7, 15), "credits", date(2026, 7, 15), date(2026, 1, 15)),
        (date(2024, 2, 29), "12 free months", date(2025, 2, 28), None),
        (date(2025, 8, 31), "credits", date(2026, 8, 31), date(2026, 2, 28)),
    ],
)
def test_accounts_of_both_generations(created: date, words: str, ends: date, closes: date | None) -> None:
    offer = offer_for(created)

    assert words in offer.description
    assert (offer.ends, offer.free_plan_closes) == (ends, closes)
    assert not offer.has_ended(ends)
    assert offer.has_ended(ends + timedelta(days=1))


def test_credits_pay_for_some_months() -> None:
    assert months_covered(200, 20.53) == 9.7
    assert months_covered(200, 0) is None
