"""Format times, amounts and statuses for the pages.  Pure; ``now`` is a parameter."""

from __future__ import annotations

import re
from collections.abc import Iterable
from datetime import UTC, datetime

from markupsafe import Markup, escape
from msgspec import Struct

from orchestrator.redaction.redact import sanitise
from orchestrator.render.field_values import shorten
from orchestrator.state.protocol.records import Run

MAX_TEXT_LENGTH = 400
_INVISIBLE_PATTERN = re.compile(
    r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x9f\xad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]"
    r"|[\U000e0000-\U000e007f]"
)
"""Control characters, direction marks and characters without width."""
EMPTY_PLACEHOLDER = "\u2013"
"""A dash, shown for a missing value."""
RELATIVE_TIME_UNITS = ((86400 * 365, "year"), (86400 * 30, "month"), (86400, "day"), (3600, "hour"), (60, "minute"))
TONE_BY_STATUS = {
    "healthy": "good", "succeeded": "good", "in sync": "good", "unchanged": "calm", "started": "calm",
    "pending": "calm",    "progressing": "busy", "running": "busy", "working": "busy",
    "failed": "bad", "unhealthy": "bad", "lost": "bad", "drifted": "warn", "returned": "warn", "interrupted": "warn",
    "not checked": "warn", "not verified": "warn", "unproved": "warn", "queued": "calm", "waiting": "calm",
    "superseded": "calm", "skipped": "calm", "unknown": "calm", "vetoed": "warn", "not approved": "warn",
}  # fmt: skip
STATUS_LABELS = {"returned": "rolled back", "working": "in progress"}
"""Labels of statuses whose stored value is not the word that people read."""


def sanitize_text(text: object, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Return untrusted text without secrets and control characters, shortened to ``max_length`` characters."""
    return shorten(sanitise(str(text)), max_length)


def status_tone(status: str) -> str:
    """Return the CSS class of a status: ``good``, ``busy``, ``warn``, ``bad`` or ``calm``."""
    return TONE_BY_STATUS.get(status, "calm")


def status_label(status: str) -> str:
    """Return the label of a status."""
    return STATUS_LABELS.get(status, status)


UNREVIEWED_CAUSES = (
    "the plan differs from the reviewed plan",
    "this plan is not approved",
    "not approved",
    "the plan is not the reviewed one",
)
"""Beginnings of the cause of a run whose plan nobody approved; the last one is in older records."""


def run_state(run: Run) -> str:
    """Return the state of a run in the words of the field: one that its own plan stopped was not interrupted."""
    if run.status == "interrupted" and run.cause.startswith("vetoed"):
        return "vetoed"
    if run.status == "interrupted" and run.cause.startswith(UNREVIEWED_CAUSES):
        return "not approved"
    return run.status


def to_unix_seconds(timestamp: str) -> float | None:
    """Return the Unix seconds of a record's timestamp, None if it cannot be parsed."""
    try:
        parsed = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def format_duration(seconds: float | None) -> str:
    """Format a duration as ``0.4s``, ``3m05s``, ``2h05m`` or ``4d03h``; a dash for None."""
    if seconds is None:
        return EMPTY_PLACEHOLDER
    if round(seconds, 1) < 60:
        return f"{max(0.0, seconds):.1f}s"
    whole_seconds = round(seconds)
    if whole_seconds < 3600:
        return f"{whole_seconds // 60}m{whole_seconds % 60:02}s"
    if whole_seconds < 86400:
        return f"{whole_seconds // 3600}h{whole_seconds % 3600 // 60:02}m"
    return f"{whole_seconds // 86400}d{whole_seconds % 86400 // 3600:02}h"


def format_relative_time(timestamp: str, now: float) -> Markup:
    """Return an HTML element that reads ``5 minutes ago`` with the exact time on hover; a dash if there is no time."""
    unix_seconds = to_unix_seconds(timestamp)
    if unix_seconds is None:
        return Markup("{}").format(EMPTY_PLACEHOLDER)
    age_seconds = now - unix_seconds
    label = _format_distance(abs(age_seconds))
    label = "just now" if label == "now" else f"{label} ago" if age_seconds > 0 else f"in {label}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(timestamp, format_datetime(timestamp), label)


def format_datetime(timestamp: str) -> str:
    """Format a timestamp as ``2026-11-24 10:59:17 UTC``; a dash if it cannot be parsed."""
    unix_seconds = to_unix_seconds(timestamp)
    return (
        datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if unix_seconds is not None
        else EMPTY_PLACEHOLDER
    )


def format_usd(usd: float | None) -> str:
    """Format an amount in US dollars as ``$31.40``; a dash for None."""
    return EMPTY_PLACEHOLDER if usd is None else f"${usd:,.2f}"


def format_bytes(count: int) -> str:
    """Format a number of bytes as ``9.4 MB``."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def safe_url(url: str) -> str:
    """Return ``url`` if it is an HTTP or HTTPS URL, else ""."""
    return url if url.startswith(("https://", "http://")) else ""


def pluralize(number: int, singular: str, plural: str = "") -> str:
    """Return a count with its noun: ``1 resource``, ``3 resources``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def format_code_list(items: Iterable[str], max_items: int = 4) -> Markup:
    """Return at most ``max_items`` items as HTML code elements, with the number of the others."""
    labels = [sanitize_text(item, 80) for item in items]
    codes = Markup(", ").join(Markup("<code>{}</code>").format(item) for item in labels[:max_items])
    return codes + escape(f" and {len(labels) - max_items} more") if len(labels) > max_items else codes


def format_code_spans(text: str, max_length: int = MAX_TEXT_LENGTH) -> Markup:
    """Return untrusted text as HTML, with what is between backticks as code elements."""
    parts = sanitize_text(text, max_length).split("`")
    pieces = (Markup("<code>{}</code>").format(part) if index % 2 else part for index, part in enumerate(parts))
    return Markup("").join(pieces)


def escape_invisible(value: object) -> object:
    r"""Return text with control characters and direction marks escaped (``\u202e``); any other value unchanged.

    They could reorder a page so that it reads differently.
    """
    if not isinstance(value, str) or not _INVISIBLE_PATTERN.search(value):
        return value
    visible = _INVISIBLE_PATTERN.sub(lambda match: match[0].encode("unicode_escape").decode("ascii"), str(value))
    return Markup(visible) if isinstance(value, Markup) else visible  # noqa: S704 - escapes are plain ASCII


def insert_word_breaks(text: str) -> Markup:
    """Return a name as HTML that may wrap after dots, slashes, underscores, colons and dashes."""
    escaped = str(escape(sanitize_text(text)))
    return Markup("".join(f"{char}<wbr>" if char in "./_:-" else char for char in escaped))  # noqa: S704 - escaped above


def _format_distance(seconds: float) -> str:
    for unit_seconds, unit in RELATIVE_TIME_UNITS:
        if seconds >= unit_seconds:
            return pluralize(int(seconds // unit_seconds), unit)
    return pluralize(int(seconds), "second") if seconds >= 5 else "now"


class Command(Struct, frozen=True):
    """A shell command and what it does."""

    text: str
    description: str = ""
