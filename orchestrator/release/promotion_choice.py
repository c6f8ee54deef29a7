"""Choose the release of another environment that is promoted: what was proved there, for long enough.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any, Final

from msgspec import Struct

from orchestrator.problems import Problem, Problems
from orchestrator.release import Ledger, Release, Vector

MAX_REASONS: Final = 3
_UNITS: Final = {"m": "minutes", "h": "hours", "d": "days"}


class PromotionRules(Struct, frozen=True):
    """The Project's ``promotion``: the environment to promote from, and when; ``is_automatic``: deploys promote."""

    source: str
    needs_proof: bool = True
    soak: timedelta = timedelta()
    is_automatic: bool = True


class Choice(Struct, frozen=True):
    """The release to promote, or why none is; ``healthy_for``: how long it was or has been current."""

    release: Release | None = None
    healthy_for: timedelta = timedelta()
    reasons: tuple[str, ...] = ()


def read_rules(promotion: dict[str, Any]) -> PromotionRules:
    """Return the rules in ``spec.promotion`` of a Project."""
    after = promotion["after"]
    return PromotionRules(
        str(promotion["from"]), bool(after["proved"]), parse_duration(after["soak"]), bool(promotion["automatic"])
    )


def parse_duration(text: str) -> timedelta:
    """Return ``30m``, ``2h`` or ``1d`` as a duration."""
    number, unit = re.fullmatch(r"(\d+)([mhd])", text).groups()  # type: ignore[union-attr]  # the schema checks it
    return timedelta(**{_UNITS[unit]: int(number)})


def format_duration(duration: timedelta) -> str:
    """Return a duration for people: ``25m``, ``3h 10m``, ``2d 4h``."""
    minutes = max(0, int(duration.total_seconds()) // 60)
    days, hours, rest = minutes // 1440, minutes // 60 % 24, minutes % 60
    if days:
        return f"{days}d {hours}h" if hours else f"{days}d"
    return f"{hours}h {rest}m" if hours and rest else f"{hours}h" if hours else f"{rest}m"


def choose_newest(ledger: Ledger, rules: PromotionRules, now: datetime, after: int = 0) -> Choice:
    """Return the newest release of the source's ``ledger`` that meets the rules, of those numbered above ``after``."""
    reasons: list[str] = []
    for release in reversed(ledger.releases):
        if release.number <= after:
            break
        choice = check_release(ledger, release, rules, now)
        if choice.release is not None:
            return choice
        reasons += choice.reasons
    if not ledger.releases:
        reasons = [f"{rules.source} has no release yet"]
    return Choice(reasons=tuple(reasons[:MAX_REASONS]))


def choose_number(ledger: Ledger, number: int, rules: PromotionRules, now: datetime) -> Choice:
    """Return one release of the source's ``ledger``.  Raises Problems if there is none."""
    release = ledger.find(number)
    if release is None:
        numbers = ", ".join(str(item.number) for item in ledger.releases) or "none"
        raise Problems([Problem(f"{rules.source} has no release {number}", hint=f"its releases are: {numbers}")])
    return check_release(ledger, release, rules, now)


def check_release(ledger: Ledger, release: Release, rules: PromotionRules, now: datetime) -> Choice:
    """Return the release if it meets the rules, else why not."""
    name = f"release {release.number} of {rules.source}"
    healthy_for = _measure_soak(ledger, release, now)
    if reason := _find_defect(ledger, release, rules):
        return Choice(reasons=(f"{name} {reason}",))
    if healthy_for < rules.soak:
        verb = "has been" if ledger.releases[-1] is release else "was"
        required = format_duration(rules.soak)
        return Choice(
            reasons=(f"{name} {verb} healthy for {format_duration(healthy_for)}, but {required} is required",)
        )
    return Choice(release, healthy_for)


def _find_defect(ledger: Ledger, release: Release, rules: PromotionRules) -> str:
    if not release.is_complete:
        return "failed or did not finish"
    if release.of is not None:
        return f"is a rollback to release {release.of}"
    if rules.needs_proof and release.result != "healthy":
        return "is not verified: no probe has passed"
    if release.uncommitted:
        return "was deployed with uncommitted changes"
    successor = next(_iter_successors(ledger, release), None)
    return "was rolled back" if successor is not None and successor.of is not None else ""


def _measure_soak(ledger: Ledger, release: Release, now: datetime) -> timedelta:
    """Return how long the artefacts of a release were current: from its proof to the start of what replaced them."""
    end = now
    for successor in _iter_successors(ledger, release):
        if _artefacts(successor.vector) != _artefacts(release.vector):
            end = _parse_time(successor.at)
            break
    return max(timedelta(), end - _parse_time(release.verified_at or release.at))


def _iter_successors(ledger: Ledger, release: Release) -> Iterator[Release]:
    """Yield what came after a release; a deploy that failed and went back to it changed nothing."""
    later = [item for item in ledger.releases if item.number > release.number]
    return (item for item in later if item.is_complete and item.of != release.number)


def _artefacts(vector: Vector) -> tuple[object, ...]:
    return dict(vector.images), dict(vector.sites), dict(vector.models)


def _parse_time(text: str) -> datetime:
    return datetime.fromisoformat(text).astimezone(UTC)
