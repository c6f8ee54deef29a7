"""Dates on which AWS changes what a stack costs: both sides of each."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

import pytest

from orchestrator.cost import deadlines
from orchestrator.cost.account_offers import months_covered, offer_for
from orchestrator.cost.support_calendar import STANDARD_SUPPORT_ENDS, extended_support_period
from orchestrator.problems import Position
from orchestrator.vocabulary import Resource

CHARGED = "open-source-rds-extended-support"


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

    assert [item.on for item in found] == [date(2027, 3, 1), date(2029, 3, 1)]
    assert "charged" in found[0].effect
    assert "doubles" in found[1].effect


@pytest.mark.parametrize("major", sorted(STANDARD_SUPPORT_ENDS))
def test_every_version_is_charged_from_the_day_after_its_support(major: str) -> None:
    """AWS: years 1 and 2, then year 3. PostgreSQL 11 was charged a month later."""
    end = STANDARD_SUPPORT_ENDS[major]
    first_day = date(2024, 4, 1) if major == "11" else end + timedelta(days=1)

    assert extended_support_period(major, first_day - timedelta(days=1)) is None
    assert extended_support_period(major, first_day) == "year-1"
    assert extended_support_period(major, date(end.year + 2, 2, 28)) == "year-1"
    assert extended_support_period(major, date(end.year + 2, 3, 1)) == "year-3"


def test_an_unknown_version_has_no_dates() -> None:
    assert deadlines.list_deadlines([database("99"), database("")]) == []


def test_two_databases_have_their_own_dates_in_order() -> None:
    second = Resource("rds_instance", "old", "old", database("13").spec, "database.old", Position("x.yaml"))

    found = deadlines.upcoming([database("14"), second], date(2026, 1, 1), 3650)

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
