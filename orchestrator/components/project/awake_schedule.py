"""Know when an environment with a ``schedule`` is awake: hours of the week in a time zone.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from msgspec import Struct

DAYS: Final = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_PER_DAY: Final = 24 * 60
MINUTES_PER_WEEK: Final = 7 * MINUTES_PER_DAY
_PERIOD: Final = re.compile(
    r"(?P<first>[a-z]{3})(?:-(?P<last>[a-z]{3}))? (?P<start>[0-9]{2}:[0-9]{2})-(?P<end>[0-9]{2}:[0-9]{2})"
)

Finding = tuple[tuple[str | int, ...], str, str | None]


class Period(Struct, frozen=True):
    """Hours on some days: ``days`` are 0 (Monday) to 6, minutes count from midnight, ``end_minute`` is excluded."""

    days: tuple[int, ...]
    start_minute: int
    end_minute: int


class AwakeSchedule(Struct, frozen=True):
    """The hours in which an environment is awake, in the local time of ``timezone``."""

    timezone: str
    periods: tuple[Period, ...]

    def is_awake(self, moment: datetime) -> bool:
        """Return whether the environment is awake at a moment with a time zone."""
        local = moment.astimezone(ZoneInfo(self.timezone))
        minute = local.hour * 60 + local.minute
        return any(
            local.weekday() in period.days and period.start_minute <= minute < period.end_minute
            for period in self.periods
        )

    def next_change(self, moment: datetime) -> datetime:
        """Return the next moment, in UTC, at which the environment is woken or hibernated; a week later if never."""
        start = moment.replace(second=0, microsecond=0)
        state = self.is_awake(moment)
        candidates = (start + timedelta(minutes=step) for step in range(1, MINUTES_PER_WEEK + 1))
        return next((time for time in candidates if self.is_awake(time) is not state), start + timedelta(days=7))

    @property
    def awake_hours(self) -> float:
        """Hours a week in which the environment is awake; hours of two periods count once."""
        minutes = {
            day * MINUTES_PER_DAY + minute
            for period in self.periods
            for day in period.days
            for minute in range(period.start_minute, period.end_minute)
        }
        return len(minutes) / 60


def parse(schedule: Mapping[str, Any]) -> AwakeSchedule:
    """Return the schedule of a Project that ``check`` has nothing to say about."""
    return AwakeSchedule(schedule["timezone"], tuple(_parse_period(text) for text in schedule["awake"]))


def check(schedule: Mapping[str, Any]) -> Iterator[Finding]:
    """Yield an unknown time zone, and periods that name no day, or end before they begin."""
    try:
        ZoneInfo(str(schedule["timezone"]))
    except (ZoneInfoNotFoundError, ValueError, OSError):
        message = f"unknown time zone {schedule['timezone']}"
        yield ("spec", "schedule", "timezone"), message, "use a name such as Europe/Madrid or UTC"
    for index, text in enumerate(schedule["awake"]):
        period = _parse_period(text)
        path = ("spec", "schedule", "awake", index)
        if not period.days:
            yield (
                path,
                f"`{text}` ends on an earlier day than it begins (weeks begin on `mon`)",
                "write two entries: one that ends on `sun` and one that starts on `mon`",
            )
        if period.end_minute <= period.start_minute:
            hint = "to cover a night, write two entries: one until 24:00, and one from 00:00 on the next day"
            yield path, f"`{text}` ends before it begins", hint


def _parse_period(text: str) -> Period:
    match = _PERIOD.fullmatch(text)
    assert match is not None, text  # the schema allows nothing else
    first = DAYS.index(match["first"])
    last = DAYS.index(match["last"]) if match["last"] else first
    return Period(tuple(range(first, last + 1)), _parse_minutes(match["start"]), _parse_minutes(match["end"]))


def _parse_minutes(text: str) -> int:
    hours, _, minutes = text.partition(":")
    return int(hours) * 60 + int(minutes)
