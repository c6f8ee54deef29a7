"""Times that clients send: in the records' one form, and not of a clock that goes far ahead.  Pure."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from functools import cache
from typing import Final

from msgspec import Struct

from orchestrator.problems import Problems

AHEAD: Final = 900.0
"""Seconds by which a sender's clock may go ahead of ours; AWS asks for the same."""
_NEEDED: Final = frozenset({"at", "started_at"})
_WHERE_KNOWN: Final = frozenset({"ended_at", "committed_at", "since"})
_WITHIN: Final = frozenset({"run", "end", "record", "release", "events", "resources", "fields"})
_FORM: Final = re.compile(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z")


def stamp(seconds: float) -> str:
    """Unix seconds as the records write times."""
    return datetime.fromtimestamp(seconds, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def moment(text: str) -> float:
    """The Unix seconds of a record's time.

    Raises ValueError when it is none.
    """
    return datetime.fromisoformat(text).replace(tzinfo=UTC).timestamp()


def check(record: object, now: float) -> None:
    """Raise Problems for a time in ``record`` that is none, or is later than ``now`` (Unix seconds) by far."""
    if isinstance(record, tuple):
        for one in record:
            check(one, now)
    elif isinstance(record, Struct):
        for name in _names(record.__class__):
            value = getattr(record, name)
            if name in _WITHIN:
                check(value, now)
            elif name in _NEEDED or value:
                _checked(name, str(value), now)


@cache
def _names(shape: type[Struct]) -> tuple[str, ...]:
    """The fields of a record that are times or hold some."""
    return tuple(name for name in shape.__struct_fields__ if name in _NEEDED | _WHERE_KNOWN | _WITHIN)


def _checked(name: str, text: str, now: float) -> None:
    try:
        if not _FORM.fullmatch(text):
            raise ValueError(text)
        ahead = datetime.fromisoformat(text).timestamp() - now
    except (ValueError, OverflowError):
        raise Problems.one(f"{name} is no time", hint="UTC in ISO 8601, e.g. 2026-11-24T10:59:17.123Z") from None
    if ahead > AHEAD:
        raise Problems.one(
            f"{name} is {ahead / 60:.0f} minutes from now: the sender's clock is wrong", hint="set the clock"
        )
