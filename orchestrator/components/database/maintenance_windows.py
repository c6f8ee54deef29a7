"""Backup and maintenance windows as minutes of a week.  Pure; formats are the schema's business."""

from __future__ import annotations

DAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
DAY = 24 * 60
WEEK = 7 * DAY


def minutes(window: str) -> int:
    """How long a window of either kind is; one that ends before it begins goes past midnight, or past Sunday."""
    start, end = _span(window)
    return (end - start) % (DAY if len(window) == len("00:00-00:00") else WEEK)


def overlap(backup: str, maintenance: str) -> bool:
    """Whether a daily window and a weekly one ever share a minute."""
    start, length = _span(maintenance)[0], minutes(maintenance)
    daily, lasting = _span(backup)[0], minutes(backup)
    return any(
        (daily + day * DAY - start) % WEEK < length or (start - daily - day * DAY) % WEEK < lasting for day in range(7)
    )


def _span(window: str) -> tuple[int, int]:
    start, end = window.split("-")
    return _minute(start), _minute(end)


def _minute(text: str) -> int:
    """``sun:04:30``, or ``04:30`` of any day."""
    *day, hour, minute = text.split(":")
    return (DAYS.index(day[0]) * DAY if day else 0) + int(hour) * 60 + int(minute)
