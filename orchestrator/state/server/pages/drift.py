"""Drift: which resource, which field, since when, and what to do about it."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Request
from msgspec import Struct
from starlette.responses import RedirectResponse, Response

from orchestrator.state.protocol.records import DriftDecision, DriftedResource
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.pages.environments import BASE, Name, known
from orchestrator.state.server.pages.formatting import Command, seconds_of
from orchestrator.state.server.pages.rendering import by_hand, show
from orchestrator.state.server.request_context import Keeper, Operator, Reader
from orchestrator.state.server.routing import Route

WORDS = {"accept": "accepted", "revert": "to be reverted", "ignore": "ignored"}
REPORTS = 12
MOST_DAYS = 90
A_WEEK = 7 * 86400.0


class Found(Struct, frozen=True):
    """One resource, and what was decided about it; ``is_quiet`` while it is to be ignored."""

    resource: DriftedResource
    decision: DriftDecision | None
    decided: str
    is_quiet: bool
    ways: tuple[Command, ...]


def found(resource: DriftedResource, decision: DriftDecision | None, name: str, now: float) -> Found:
    """What the page says of one resource."""
    until = seconds_of(decision.until) if decision and decision.until else None
    over = until is not None and until <= now
    # what was decided about an earlier drift says nothing of this one
    old = decision is not None and decision.at < resource.since
    kept = None if over or old else decision
    quiet = kept is not None and kept.deed == "ignore"
    day = (kept.until if kept else "") or _day(now + A_WEEK)
    return Found(resource, kept, WORDS[kept.deed] if kept else "", quiet, ways(resource, name, day[:10]))


def ways(resource: DriftedResource, name: str, until: str) -> tuple[Command, ...]:
    """What to type, for each of the ends it can come to; ``until`` is a day, YEAR-MONTH-DAY."""
    look = f"orchestrator drift -e {name}"
    if resource.sync != "drifted":
        return (Command(look, "look again, once it may be read"),)
    address = shlex.quote(resource.address)
    return (
        Command(f"{look} --accept {address}", "accept: edit the manifests so that they say what AWS has"),
        Command(f"orchestrator deploy -e {name}", "revert: make AWS what the manifests say"),
        Command(f"{look} --ignore {address} --until {until}", "ignore: write into the manifests that it is let be"),
    )


def _day(at: float) -> str:
    return datetime.fromtimestamp(at, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def router() -> APIRouter:
    """``/e/{project}/{name}/drift``, and the form that decides."""
    routes = APIRouter(include_in_schema=False, route_class=Route)

    @routes.get(BASE + "/drift")
    def drift(request: Request, store: Keeper, _: Reader, project: Name, name: Name) -> Response:
        environment = known(store, project, name)
        decisions = {one.address: one for one in store.decisions(environment.key)}
        now = store.clock()
        report = environment.drift
        resources = report.resources if report else ()
        seen = tuple(found(one, decisions.get(one.address), name, now) for one in resources)
        seen = tuple(sorted(seen, key=lambda one: (one.is_quiet, one.resource.sync != "drifted")))
        values = {"report": report, "found": seen, "reports": store.drifts(environment.key, limit=REPORTS).items}
        return show(request, "drift.html", {**values, "key": environment.key, "tab": "drift"})

    @routes.post(BASE + "/drift")
    def decide(  # noqa: PLR0913 - its fields
        store: Keeper,
        identity: Operator,
        project: Name,
        name: Name,
        address: Annotated[str, Form(max_length=300)],
        deed: Annotated[Literal["accept", "revert", "ignore"], Form()],
        csrf: Annotated[str, Form(max_length=400)] = "",
        reason: Annotated[str, Form(max_length=400)] = "",
        days: Annotated[int, Form(ge=1, le=MOST_DAYS)] = 7,
    ) -> Response:
        by_hand(identity, csrf)
        environment = known(store, project, name)
        if address not in {one.address for one in (environment.drift.resources if environment.drift else ())}:
            raise HTTPException(422, "that resource is not in the newest report; load the page again")
        at = store.clock()
        ends = _day(at + days * 86400) if deed == "ignore" else ""
        store.decide(
            DriftDecision(environment.key, address, deed, identity.name, stamp(at), reason, ends), identity.name
        )
        return RedirectResponse(f"/e/{environment.key}/drift", 303)

    return routes
