"""Show the drift of an environment and record what people decide about it."""

from __future__ import annotations

import shlex
from datetime import UTC, datetime
from typing import Annotated, Literal

from fastapi import APIRouter, Form, HTTPException, Request
from msgspec import Struct
from starlette.responses import RedirectResponse, Response

from orchestrator.state.protocol.records import DriftDecision, DriftedResource
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.pages.environments import ENVIRONMENT_PATH, PathName, get_environment_or_404
from orchestrator.state.server.pages.formatting import Command, to_unix_seconds
from orchestrator.state.server.pages.rendering import check_form_csrf, render_page
from orchestrator.state.server.request_context import CurrentOperator, CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute

DECISION_LABELS = {"accept": "accepted", "revert": "revert planned", "ignore": "ignored"}
MAX_REPORTS = 12
MAX_IGNORE_DAYS = 90
DEFAULT_IGNORE_SECONDS = 7 * 86400.0


class DriftItem(Struct, frozen=True):
    """One resource and the decision about it; ``is_quiet`` while the decision is to ignore it."""

    resource: DriftedResource
    decision: DriftDecision | None
    decided: str
    is_quiet: bool
    commands: tuple[Command, ...]


def build_drift_item(resource: DriftedResource, decision: DriftDecision | None, name: str, now: float) -> DriftItem:
    """Return what the page shows about one resource; ``now`` in Unix seconds."""
    until = to_unix_seconds(decision.until) if decision and decision.until else None
    is_expired = until is not None and until <= now
    # A decision about an earlier drift does not apply to this one.
    is_outdated = decision is not None and decision.at < resource.since
    active = None if is_expired or is_outdated else decision
    is_quiet = active is not None and active.deed == "ignore"
    day = (active.until if active else "") or _format_day(now + DEFAULT_IGNORE_SECONDS)
    return DriftItem(
        resource,
        active,
        DECISION_LABELS[active.deed] if active else "",
        is_quiet,
        remediation_commands(resource, name, day[:10]),
    )


def remediation_commands(resource: DriftedResource, name: str, until: str) -> tuple[Command, ...]:
    """Return the commands that resolve the drift of a resource; ``until`` is a date, YYYY-MM-DD."""
    drift_command = f"orchestrator drift -e {name}"
    if resource.sync in {"unhealthy", "pending"}:
        return (Command(drift_command, "Check again"),)
    if resource.sync != "drifted":
        return (Command(drift_command, "Check again after granting read access"),)
    address = shlex.quote(resource.address)
    return (
        Command(f"{drift_command} --accept {address}", "Accept: change the manifests to match AWS"),
        Command(f"orchestrator deploy -e {name}", "Revert: change AWS to match the manifests"),
        Command(f"{drift_command} --ignore {address} --until {until}", "Ignore: record a waiver in the manifests"),
    )


def _format_day(timestamp: float) -> str:
    return datetime.fromtimestamp(timestamp, UTC).strftime("%Y-%m-%dT%H:%M:%S.000Z")


def create_router() -> APIRouter:
    """Return the routes of the drift page and its decision form."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get(ENVIRONMENT_PATH + "/drift")
    def show_drift(request: Request, store: StoreDep, _: CurrentReader, project: PathName, name: PathName) -> Response:
        environment = get_environment_or_404(store, project, name)
        decisions = {entry.address: entry for entry in store.list_drift_decisions(environment.key)}
        now = store.clock()
        report = environment.drift
        resources = report.resources if report else ()
        items = tuple(build_drift_item(entry, decisions.get(entry.address), name, now) for entry in resources)
        items = tuple(sorted(items, key=lambda entry: (entry.is_quiet, entry.resource.sync != "drifted")))
        values = {
            "report": report,
            "items": items,
            "reports": store.list_drift_reports(environment.key, limit=MAX_REPORTS).items,
        }
        return render_page(request, "drift.html", {**values, "key": environment.key, "tab": "drift"})

    @routes.post(ENVIRONMENT_PATH + "/drift")
    def record_decision(  # noqa: PLR0913 - its fields
        store: StoreDep,
        identity: CurrentOperator,
        project: PathName,
        name: PathName,
        address: Annotated[str, Form(max_length=300)],
        deed: Annotated[Literal["accept", "revert", "ignore"], Form()],
        csrf: Annotated[str, Form(max_length=400)] = "",
        reason: Annotated[str, Form(max_length=400)] = "",
        days: Annotated[int, Form(ge=1, le=MAX_IGNORE_DAYS)] = 7,
    ) -> Response:
        check_form_csrf(identity, csrf)
        environment = get_environment_or_404(store, project, name)
        if address not in {drifted.address for drifted in (environment.drift.resources if environment.drift else ())}:
            raise HTTPException(422, "this resource is not in the latest drift report; reload the page")
        now = store.clock()
        until = _format_day(now + days * 86400) if deed == "ignore" else ""
        store.record_drift_decision(
            DriftDecision(environment.key, address, deed, identity.name, format_timestamp(now), reason, until),
            identity.name,
        )
        return RedirectResponse(f"/e/{environment.key}/drift", 303)

    return routes
