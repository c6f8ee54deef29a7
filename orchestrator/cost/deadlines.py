"""List the dates on which AWS changes what a stack costs, or refuses it.  Pure.

Each deadline names its source.  A plan warns of those in the next 180 days; `orchestrator outlook` lists a year.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from msgspec import Struct

from orchestrator.cost import retirement_calendar
from orchestrator.cost.support_calendar import STANDARD_SUPPORT_ENDS, extended_support_charges, extended_support_end
from orchestrator.quantities import format_count
from orchestrator.vocabulary import Resource

WARN_DAYS = 180
"""Days before a deadline from which plans warn of it."""

_RDS_CALENDAR = "Release calendar for Amazon RDS for PostgreSQL"
_EXTENDED_SUPPORT = "open-source-rds-extended-support"


class Deadline(Struct, frozen=True, order=True):
    """A date, the address of the resource, the event on that date, and its source."""

    on: date
    address: str
    effect: str
    source: str


def list_deadlines(resources: Iterable[Resource]) -> list[Deadline]:
    """Return the deadlines of ``resources``, past ones included, in the order of their dates."""
    return sorted(deadline for resource in resources for deadline in _deadlines_of(resource))


def select_due(deadlines: Iterable[Deadline], on: date, days: int = WARN_DAYS) -> list[Deadline]:
    """Return the deadlines that are at most ``days`` away, or past and still in effect, in the order of their dates."""
    return sorted(deadline for deadline in deadlines if deadline.on <= on + timedelta(days=days))


def list_warnings(resources: Iterable[Resource], on: date) -> Iterator[str]:
    """Yield a warning for each deadline that is near, or past and still in effect."""
    for deadline in select_due(list_deadlines(resources), on):
        yield f"{deadline.address}: {deadline.effect}, {describe_day(deadline, on)} ({deadline.source})."


def describe_day(deadline: Deadline, on: date) -> str:
    """Return when a deadline is, as seen from ``on``."""
    days = (deadline.on - on).days
    return f"in {format_count(days, 'day')}, on {deadline.on}" if days > 0 else f"since {deadline.on}"


def explain_refusal(database: Resource, on: date) -> str:
    """Return why AWS creates no such database on a day, "" if it does.

    Source: RDS user guide, "Creating a DB instance with Amazon RDS Extended Support": with extended support disabled,
    creation fails after the end of standard support.
    """
    major = str(database.spec.get("version", "")).partition(".")[0]
    end, last_day = STANDARD_SUPPORT_ENDS.get(major), extended_support_end(major)
    if end is None or last_day is None or on <= end:
        return ""
    newer = f"set `version` to {_list_supported(on)}"
    if on > last_day:
        return (
            f"AWS ended support for PostgreSQL {major} on {last_day} and rejects new databases of this version; {newer}"
        )
    if database.spec.get("lifecycle_support") == _EXTENDED_SUPPORT:
        return ""
    return (
        f"standard support of PostgreSQL {major} ended on {end}, and without extended support AWS rejects new "
        f"databases of this version; {newer}, or set `extendedSupport: true`, which is charged per vCPU and hour"
    )


def _list_supported(on: date) -> str:
    return ", ".join(major for major, end in STANDARD_SUPPORT_ENDS.items() if on <= end)


def _deadlines_of(resource: Resource) -> Iterator[Deadline]:
    for retirement in retirement_calendar.list_retirements(resource):
        yield Deadline(retirement.on, resource.address, retirement.effect, retirement.source)
    if resource.type == "rds_instance" and resource.spec.get("engine", "postgres") == "postgres":
        yield from _database_deadlines(resource)


def _database_deadlines(database: Resource) -> Iterator[Deadline]:
    major = str(database.spec.get("version", "")).partition(".")[0]
    end, charges = STANDARD_SUPPORT_ENDS.get(major), extended_support_charges(major)
    if end is None or charges is None:
        return
    if database.spec.get("lifecycle_support") != _EXTENDED_SUPPORT:
        effect = (
            f"standard support of PostgreSQL {major} ends, and AWS upgrades the database to a newer major version, "
            "with an outage; change `version` before that date"
        )
        yield Deadline(end, database.address, effect, _RDS_CALENDAR)
        return
    first_day, third_year = charges
    yield Deadline(
        first_day,
        database.address,
        f"extended support of PostgreSQL {major} is charged per vCPU and hour; change `version` to avoid it",
        _RDS_CALENDAR,
    )
    yield Deadline(
        third_year, database.address, f"the charge for extended support of PostgreSQL {major} doubles", _RDS_CALENDAR
    )
    last_day = extended_support_end(major)
    assert last_day is not None
    effect = (
        f"extended support of PostgreSQL {major} ends, and AWS upgrades the database to a newer major version, with an "
        "outage; change `version` before that date"
    )
    yield Deadline(last_day, database.address, effect, _RDS_CALENDAR)
