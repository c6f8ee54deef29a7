"""Times, sums and states in words.  Pure; ``now`` is given."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from markupsafe import Markup, escape
from msgspec import Struct

from orchestrator.redaction.redact import sanitise
from orchestrator.render.field_values import shorten

MAX_TEXT_LENGTH = 400
EMPTY_PLACEHOLDER = "\u2013"
"""What stands where there is nothing: a dash."""
RELATIVE_TIME_UNITS = ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min"))
TONE_BY_STATUS = {
    "healthy": "good", "succeeded": "good", "in sync": "good", "proved": "good", "unchanged": "calm",
    "progressing": "busy", "running": "busy", "started": "busy", "working": "busy",
    "failed": "bad", "lost": "bad", "drifted": "warn", "returned": "warn", "interrupted": "warn",
    "not checked": "warn", "not proved": "warn", "unproved": "warn", "queued": "calm", "waiting": "calm",
    "superseded": "calm", "skipped": "calm", "unknown": "calm",
}  # fmt: skip


def sanitize_text(text: object, max_length: int = MAX_TEXT_LENGTH) -> str:
    """Any text of others: without secrets and what acts, and not endless."""
    return shorten(sanitise(str(text)), max_length)


def status_tone(status: str) -> str:
    """``good``, ``busy``, ``warn``, ``bad`` or ``calm``."""
    return TONE_BY_STATUS.get(status, "calm")


def to_unix_seconds(timestamp: str) -> float | None:
    """The Unix seconds of a record's time, None where it is none."""
    try:
        parsed = datetime.fromisoformat(timestamp)
    except ValueError:
        return None
    return (parsed if parsed.tzinfo else parsed.replace(tzinfo=UTC)).timestamp()


def format_duration(seconds: float | None) -> str:
    """``0.4 s``, ``3 min 20 s``, ``2 h 5 min``, ``4 d 3 h``; a dash for None."""
    if seconds is None:
        return EMPTY_PLACEHOLDER
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole_seconds = int(seconds)
    for unit_seconds, unit, subunit_seconds, subunit in (
        (86400, "d", 3600, "h"),
        (3600, "h", 60, "min"),
        (60, "min", 1, "s"),
    ):
        if whole_seconds >= unit_seconds:
            subunits = whole_seconds % unit_seconds // subunit_seconds
            return (
                f"{whole_seconds // unit_seconds} {unit} {subunits} {subunit}"
                if subunits
                else f"{whole_seconds // unit_seconds} {unit}"
            )
    return f"{whole_seconds} s"


def format_relative_time(timestamp: str, now: float) -> Markup:
    """A time as ``5 min ago``, the exact one beside it for those who point at it; a dash when there is none."""
    unix_seconds = to_unix_seconds(timestamp)
    if unix_seconds is None:
        return Markup("{}").format(EMPTY_PLACEHOLDER)
    age_seconds = now - unix_seconds
    label = _format_distance(abs(age_seconds))
    label = "just now" if label == "now" else f"{label} ago" if age_seconds > 0 else f"in {label}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(timestamp, format_datetime(timestamp), label)


def format_datetime(timestamp: str) -> str:
    """``2026-11-24 10:59:17 UTC``."""
    unix_seconds = to_unix_seconds(timestamp)
    return (
        datetime.fromtimestamp(unix_seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")
        if unix_seconds is not None
        else EMPTY_PLACEHOLDER
    )


def format_usd(usd: float | None) -> str:
    """``$ 31.40``, or a dash."""
    return EMPTY_PLACEHOLDER if usd is None else f"${usd:,.2f}"


def format_bytes(count: int) -> str:
    """Bytes as people say them."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def safe_url(url: str) -> str:
    """An address that a browser may follow, or "": no scripts, nothing but the web."""
    return url if url.startswith(("https://", "http://")) else ""


def pluralize(number: int, singular: str, plural: str = "") -> str:
    """``1 resource``, ``3 resources``."""
    return f"{number:,} {singular if number == 1 else plural or singular + 's'}"


def format_code_list(items: Iterable[str], max_items: int = 4) -> Markup:
    """Codes with commas; what is too many is counted."""
    labels = [sanitize_text(item, 80) for item in items]
    codes = Markup(", ").join(Markup("<code>{}</code>").format(item) for item in labels[:max_items])
    return codes + escape(f" and {len(labels) - max_items} more") if len(labels) > max_items else codes


def insert_word_breaks(text: str) -> Markup:
    """A long name that may break after its dots, slashes and dashes."""
    escaped = str(escape(sanitize_text(text)))
    return Markup("".join(f"{char}<wbr>" if char in "./_:-" else char for char in escaped))  # noqa: S704 - escaped above


def _format_distance(seconds: float) -> str:
    for unit_seconds, unit in RELATIVE_TIME_UNITS:
        if seconds >= unit_seconds:
            return f"{int(seconds // unit_seconds)} {unit}"
    return f"{int(seconds)} s" if seconds >= 5 else "now"


class Command(Struct, frozen=True):
    """Something to type, and why."""

    text: str
    why: str = ""
