"""Compare backup and maintenance windows as minutes of a week.  Pure; the schema checks their format."""

from __future__ import annotations

WEEKDAYS = ("mon", "tue", "wed", "thu", "fri", "sat", "sun")
MINUTES_PER_DAY = 24 * 60
MINUTES_PER_WEEK = 7 * MINUTES_PER_DAY


def duration_minutes(window: str) -> int:
    """Return the minutes of a daily or weekly window; one that ends before it begins wraps around."""
    start, end = _parse_window(window)
    return (end - start) % (MINUTES_PER_DAY if len(window) == len("00:00-00:00") else MINUTES_PER_WEEK)


def has_overlap(backup: str, maintenance: str) -> bool:
    """Return whether a daily window and a weekly window overlap."""
    maintenance_start, maintenance_minutes = _parse_window(maintenance)[0], duration_minutes(maintenance)
    backup_start, backup_minutes = _parse_window(backup)[0], duration_minutes(backup)
    return any(
        (backup_start + day * MINUTES_PER_DAY - maintenance_start) % MINUTES_PER_WEEK < maintenance_minutes
        or (maintenance_start - backup_start - day * MINUTES_PER_DAY) % MINUTES_PER_WEEK < backup_minutes
        for day in range(7)
    )


def _parse_window(window: str) -> tuple[int, int]:
    start, end = window.split("-")
    return _parse_minute(start), _parse_minute(end)


def _parse_minute(text: str) -> int:
    """Return the minute of the week of ``sun:04:30``, or the minute of the day of ``04:30``."""
    *day, hour, minute = text.split(":")
    return (WEEKDAYS.index(day[0]) * MINUTES_PER_DAY if day else 0) + int(hour) * 60 + int(minute)
