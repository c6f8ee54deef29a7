"""Know until when AWS supports PostgreSQL, and what a version costs after that.

Source of the dates: "Release calendar for Amazon RDS for PostgreSQL", read 2026-11; AWS may move a date, and
`aws rds describe-db-major-engine-versions` names today's.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

STANDARD_SUPPORT_ENDS: Mapping[str, date] = {
    "11": date(2024, 2, 29),
    "12": date(2025, 2, 28),
    "13": date(2026, 2, 28),
    "14": date(2027, 2, 28),
    "15": date(2028, 2, 29),
    "16": date(2029, 2, 28),
    "17": date(2030, 2, 28),
    "18": date(2031, 2, 28),
}
"""Last day of RDS standard support of each major version of PostgreSQL."""

_FIRST_CHARGES: Mapping[str, date] = {"11": date(2024, 4, 1)}
"""First day of the charges for extended support, where it is not the day after standard support."""

_YEARS_OF_FIRST_CHARGE = 2

_EXTENDED_SUPPORT_ENDS: Mapping[str, date] = {"11": date(2027, 3, 31)}
"""Last day of extended support, where it is not three years after that of standard support."""


def standard_support_end(major: str) -> date | None:
    """Return the last day of standard support, None for a version that the calendar does not list."""
    return STANDARD_SUPPORT_ENDS.get(major)


def extended_support_end(major: str) -> date | None:
    """Return the last day of extended support, None for a version that the calendar does not list."""
    end = STANDARD_SUPPORT_ENDS.get(major)
    if end is None:
        return None
    return _EXTENDED_SUPPORT_ENDS.get(major) or date(end.year + 3, 3, 1) - timedelta(days=1)


def extended_support_charges(major: str) -> tuple[date, date] | None:
    """Return the first days of the charge for years 1 and 2, and of that for year 3; None for an unlisted version."""
    end = STANDARD_SUPPORT_ENDS.get(major)
    if end is None:
        return None
    first_day = _FIRST_CHARGES.get(major, date(end.year, 3, 1))
    return first_day, first_day.replace(year=first_day.year + _YEARS_OF_FIRST_CHARGE)


def extended_support_period(major: str, on: date) -> str | None:
    """Return the charge that applies on a day: "year-1" (years 1 and 2), "year-3", or None before the charges begin."""
    charges = extended_support_charges(major)
    if charges is None or on < charges[0]:
        return None
    return "year-3" if on >= charges[1] else "year-1"
