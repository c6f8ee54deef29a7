"""Format, parse and validate the timestamps of records.  Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import Final

from msgspec import Struct

from orchestrator.problems import Problems

MAX_CLOCK_AHEAD_SECONDS: Final = 900.0
"""Seconds by which the clock of a client may be ahead; AWS has the same limit."""
_REQUIRED_TIMES: Final = frozenset({"at", "started_at"})
_OPTIONAL_TIMES: Final = frozenset({"ended_at", "committed_at", "since"})
_NESTED_FIELDS: Final = frozenset({"run", "end", "record", "release", "events", "resources", "fields"})
_TIME_PATTERN: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def format_timestamp(seconds: float) -> str:
    """Format Unix seconds as a record timestamp."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def parse_timestamp(text: str) -> float:
    """Return the Unix seconds of a record timestamp.

    Raises ValueError if it cannot be parsed.
    """
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def check_times(record: object, now: float) -> None:
    """Raise Problems if a time in ``record`` is invalid or more than 15 minutes after ``now`` (Unix seconds)."""
    if isinstance(record, tuple):
        for item in record:
            check_times(item, now)
    elif isinstance(record, Struct):
        for name in _time_fields(record.__class__):
            value = getattr(record, name)
            if name in _NESTED_FIELDS:
                check_times(value, now)
            elif name in _REQUIRED_TIMES or value:
                _check_time(name, str(value), now)


@cache
def _time_fields(record_type: type[Struct]) -> tuple[str, ...]:
    """Return the fields of a record that are times or contain times."""
    return tuple(
        name for name in record_type.__struct_fields__ if name in _REQUIRED_TIMES | _OPTIONAL_TIMES | _NESTED_FIELDS
    )


def _check_time(name: str, text: str, now: float) -> None:
    try:
        if not _TIME_PATTERN.fullmatch(text):
            raise ValueError(text)
        ahead_seconds = datetime.fromisoformat(text).timestamp() - now
    except (ValueError, OverflowError):
        raise Problems.from_message(
            f"{name}: {text[:40]!r} is not a valid time", hint="use ISO 8601 in UTC, e.g. 2026-11-24T10:59:17.123Z"
        ) from None
    if ahead_seconds > MAX_CLOCK_AHEAD_SECONDS:
        raise Problems.from_message(
            f"{name} is {ahead_seconds / 60:.0f} minutes in the future: the client's clock is wrong",
            hint="synchronise the client's clock",
        )
