"""History: every run, filtered; how well the team delivers; and the chained log below it all."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date, timedelta
from typing import Annotated, get_args
from urllib.parse import urlencode

from fastapi import APIRouter, Query, Request
from msgspec import Struct
from msgspec.structs import asdict
from starlette.responses import Response

from orchestrator.state.protocol.records import Status, Verb
from orchestrator.state.server.filters import Delivery, HistoryFilter, RunFilter
from orchestrator.state.server.pages.formatting import NONE, lasting
from orchestrator.state.server.pages.rendering import show
from orchestrator.state.server.request_context import Keeper, Reader
from orchestrator.state.server.routing import Route

Word = Annotated[str, Query(max_length=200)]
SHOWN = 30
WEEKS = 26
RECENT = 4
"""Weeks that the figures are about."""


class Figure(Struct, frozen=True):
    """One of the four: what it is now, and how it was in the weeks before that."""

    name: str
    now: str
    before: str
    better: str
    """``better``, ``worse`` or ``same``"""


def figures(weeks: Sequence[Delivery]) -> tuple[Figure, ...]:
    """The four figures of the newest weeks beside those of the weeks before them."""
    now, before = weeks[-RECENT:], weeks[-2 * RECENT : -RECENT]
    return (
        _figure("Deploys a week", _rate(now), _rate(before), "{:.1f}", low=False),
        _figure("Lead time", _mean(now, "lead_seconds"), _mean(before, "lead_seconds"), "", low=True),
        _figure("Change failure rate", _failed(now), _failed(before), "{:.0%}", low=True),
        _figure("Time to restore", _mean(now, "restore_seconds"), _mean(before, "restore_seconds"), "", low=True),
    )


def filled(weeks: Sequence[Delivery]) -> tuple[Delivery, ...]:
    """``weeks`` without gaps, the newest half year: a week in which nothing happened is told too."""
    if not weeks:
        return ()
    known = {one.week: one for one in weeks}
    last = date.fromisoformat(weeks[-1].week)
    first = max(date.fromisoformat(weeks[0].week), last - timedelta(weeks=WEEKS - 1))
    days = (first + timedelta(weeks=number) for number in range((last - first).days // 7 + 1))
    return tuple(known.get(day.isoformat(), Delivery(day.isoformat(), 0, 0)) for day in days)


def _figure(name: str, now: float | None, before: float | None, form: str, *, low: bool) -> Figure:
    def word(value: float | None) -> str:
        return NONE if value is None else form.format(value) if form else lasting(value)

    if now is None or before is None or abs(now - before) <= abs(before) * 0.02:
        return Figure(name, word(now), word(before), "same")
    return Figure(name, word(now), word(before), "better" if (now < before) is low else "worse")


def _rate(weeks: Sequence[Delivery]) -> float | None:
    return sum(one.deploys for one in weeks) / len(weeks) if weeks else None


def _failed(weeks: Sequence[Delivery]) -> float | None:
    deploys = sum(one.deploys for one in weeks)
    return sum(one.failures for one in weeks) / deploys if deploys else None


def _mean(weeks: Sequence[Delivery], name: str) -> float | None:
    found = [value for one in weeks if (value := getattr(one, name)) is not None]
    return sum(found) / len(found) if found else None


def _day(text: str) -> str:
    """A day as the form has it, "" when it is none."""
    try:
        return date.fromisoformat(text).isoformat() if text else ""
    except ValueError:
        return ""


def _next(day: str) -> str:
    return (date.fromisoformat(day) + timedelta(days=1)).isoformat() if day and day < "9999-12-31" else ""


def router() -> APIRouter:
    """``/history`` and ``/history/log``."""
    routes = APIRouter(include_in_schema=False, route_class=Route)

    @routes.get("/history")
    def history(  # noqa: PLR0913 - its filters
        request: Request,
        store: Keeper,
        _: Reader,
        environment: Word = "",
        status: Word = "",
        verb: Word = "",
        by: Word = "",
        commit: Word = "",
        since: Word = "",
        until: Word = "",
        cursor: Word = "",
    ) -> Response:
        asked = RunFilter(environment, status, verb, by.strip(), commit.strip(), _day(since), _day(until))
        only = RunFilter(environment, status, verb, asked.by, asked.commit, asked.since, _next(asked.until))
        page = store.runs(only, cursor, SHOWN)
        words = {name: word for name, word in asdict(asked).items() if word}
        weeks = () if cursor else filled(store.deliveries(environment))
        values = {"figures": figures(weeks), "weeks": weeks, "only": asked, "filtered": bool(words), "runs": page.items}
        choices = {"keys": store.keys(), "statuses": get_args(Status), "verbs": get_args(Verb)}
        older = f"/history?{urlencode({**words, 'cursor': page.cursor})}" if page.cursor else ""
        return show(request, "history.html", {**values, **choices, "older": older})

    @routes.get("/history/log")
    def log(
        request: Request, store: Keeper, _: Reader, environment: Word = "", by: Word = "", cursor: Word = ""
    ) -> Response:
        page = store.history(HistoryFilter(environment=environment, by=by.strip()), cursor, SHOWN)
        words = {name: word for name, word in (("environment", environment), ("by", by)) if word}
        older = f"/history/log?{urlencode({**words, 'cursor': page.cursor})}" if page.cursor else ""
        values = {"environment": environment, "by": by, "keys": store.keys(), "entries": page.items, "older": older}
        return show(request, "log.html", values)

    return routes
