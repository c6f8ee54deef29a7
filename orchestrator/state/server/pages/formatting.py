"""Times, sums and states in words.  Pure; ``now`` is given."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from markupsafe import Markup, escape
from msgspec import Struct

from orchestrator.redaction.redact import safe
from orchestrator.render.field_values import shorten

LONGEST = 400
NONE = "\u2013"
"""What stands where there is nothing: a dash."""
UNITS = ((86400 * 365, "y"), (86400 * 30, "mo"), (86400, "d"), (3600, "h"), (60, "min"))
MOODS = {
    "healthy": "good", "succeeded": "good", "in sync": "good", "proved": "good", "unchanged": "calm",
    "progressing": "busy", "running": "busy", "started": "busy", "working": "busy",
    "failed": "bad", "lost": "bad", "drifted": "warn", "returned": "warn", "interrupted": "warn",
    "not checked": "warn", "not proved": "warn", "unproved": "warn", "queued": "calm", "waiting": "calm",
    "superseded": "calm", "skipped": "calm", "unknown": "calm",
}  # fmt: skip


def say(text: object, longest: int = LONGEST) -> str:
    """Any text of others: without secrets and what acts, and not endless."""
    return shorten(safe(str(text)), longest)


def mood(state: str) -> str:
    """``good``, ``busy``, ``warn``, ``bad`` or ``calm``."""
    return MOODS.get(state, "calm")


def seconds_of(at: str) -> float | None:
    """The Unix seconds of a record's time, None where it is none."""
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        return None
    return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()


def lasting(seconds: float | None) -> str:
    """``0.4 s``, ``3 min 20 s``, ``2 h 5 min``, ``4 d 3 h``; a dash for None."""
    if seconds is None:
        return NONE
    if seconds < 10:
        return f"{max(0.0, seconds):.1f} s"
    whole = int(seconds)
    for size, word, smaller, small in ((86400, "d", 3600, "h"), (3600, "h", 60, "min"), (60, "min", 1, "s")):
        if whole >= size:
            rest = whole % size // smaller
            return f"{whole // size} {word} {rest} {small}" if rest else f"{whole // size} {word}"
    return f"{whole} s"


def ago(at: str, now: float) -> Markup:
    """A time as ``5 min ago``, the exact one beside it for those who point at it; a dash when there is none."""
    moment = seconds_of(at)
    if moment is None:
        return Markup("{}").format(NONE)
    since = now - moment
    words = _distance(abs(since))
    words = "just now" if words == "now" else f"{words} ago" if since > 0 else f"in {words}"
    return Markup('<time datetime="{}" title="{}">{}</time>').format(at, exact(at), words)


def exact(at: str) -> str:
    """``2026-11-24 10:59:17 UTC``."""
    moment = seconds_of(at)
    return datetime.fromtimestamp(moment, UTC).strftime("%Y-%m-%d %H:%M:%S UTC") if moment is not None else NONE


def money(usd: float | None) -> str:
    """``$ 31.40``, or a dash."""
    return NONE if usd is None else f"${usd:,.2f}"


def size(count: int) -> str:
    """Bytes as people say them."""
    amount = float(count)
    for unit in ("B", "KB", "MB", "GB"):
        if amount < 1000 or unit == "GB":
            break
        amount /= 1000
    return f"{amount:.0f} {unit}" if unit == "B" else f"{amount:.1f} {unit}"


def link(address: str) -> str:
    """An address that a browser may follow, or "": no scripts, nothing but the web."""
    return address if address.startswith(("https://", "http://")) else ""


def counted(number: int, one: str, many: str = "") -> str:
    """``1 resource``, ``3 resources``."""
    return f"{number:,} {one if number == 1 else many or one + 's'}"


def listed(items: Iterable[str], most: int = 4) -> Markup:
    """Codes with commas; what is too many is counted."""
    known = [say(item, 80) for item in items]
    shown = Markup(", ").join(Markup("<code>{}</code>").format(item) for item in known[:most])
    return shown + escape(f" and {len(known) - most} more") if len(known) > most else shown


def breakable(text: str) -> Markup:
    """A long name that may break after its dots, slashes and dashes."""
    shown = str(escape(say(text)))
    return Markup("".join(f"{char}<wbr>" if char in "./_:-" else char for char in shown))  # noqa: S704 - escaped above


def _distance(seconds: float) -> str:
    for length, word in UNITS:
        if seconds >= length:
            return f"{int(seconds // length)} {word}"
    return f"{int(seconds)} s" if seconds >= 5 else "now"


class Command(Struct, frozen=True):
    """Something to type, and why."""

    text: str
    why: str = ""
