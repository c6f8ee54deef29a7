"""The first page, every environment at a glance; and the page of one."""

from __future__ import annotations

from typing import Annotated

from fastapi import APIRouter, HTTPException, Path, Request
from msgspec import Struct
from starlette.responses import Response

from orchestrator.state.protocol.records import Conflict, Environment, Lease, PullRequestPlan
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.filters import RunFilter
from orchestrator.state.server.pages.rendering import show
from orchestrator.state.server.request_context import Keeper, Reader
from orchestrator.state.server.routing import Route

Name = Annotated[str, Path(pattern=r"^[a-z0-9][a-z0-9-]{0,60}$")]
BASE = "/e/{project}/{name}"
RUNS = 8
"""Runs that are shown beside the rest."""


class Glance(Struct, frozen=True):
    """One environment; ``syncing`` is ``in sync``, ``drifted`` or ``not checked``."""

    environment: Environment
    syncing: str
    held_since: str = ""

    @property
    def is_well(self) -> bool:
        return self.environment.health == "healthy" and self.syncing == "in sync"


def glance(environment: Environment) -> Glance:
    """What the first look has to tell."""
    report, lease = environment.drift, environment.lease
    syncing = "not checked" if report is None else "drifted" if report.drifted else "in sync"
    return Glance(environment, syncing, since(lease))


def since(lease: Lease | None) -> str:
    """When the lease was taken, "" when it is free."""
    return stamp(lease.holder.taken) if lease and lease.holder else ""


def _place(glance: Glance) -> tuple[str, bool, str]:
    """By project, and what customers see comes first."""
    environment = glance.environment
    return environment.project, not environment.name.startswith("prod"), environment.name


class Pull(Struct, frozen=True):
    """An open pull request, and those it will meet."""

    plan: PullRequestPlan
    conflicts: tuple[Conflict, ...]


def known(store: Keeper, project: str, name: str) -> Environment:
    """The environment.

    Raises HTTPException 404.
    """
    found = store.environment(f"{project}/{name}")
    if found is None:
        raise HTTPException(404, f"no environment {project}/{name} is known here")
    return found


def router() -> APIRouter:
    """``/`` and ``/e/{project}/{name}``."""
    routes = APIRouter(include_in_schema=False, route_class=Route)

    @routes.get("/")
    def all_of_them(request: Request, store: Keeper, _: Reader) -> Response:
        found = tuple(sorted(map(glance, store.environments()), key=_place))
        priced = [one.environment.monthly_usd for one in found if one.environment.monthly_usd is not None]
        runs = store.runs(limit=RUNS).items
        address = request.app.state.settings.public_url or str(request.base_url)
        values = {
            "glances": found,
            "total": sum(priced) if priced else None,
            "runs": runs,
            "address": address.rstrip("/"),
        }
        return show(request, "environments.html", values)

    @routes.get(BASE)
    def one(request: Request, store: Keeper, _: Reader, project: Name, name: Name) -> Response:
        found = known(store, project, name)
        pulls = tuple(Pull(plan, store.conflicts(found.key, plan.number)) for plan in store.pull_requests(found.key))
        runs = store.runs(RunFilter(environment=found.key), limit=RUNS).items
        waiting = tuple((one, stamp(one.since)) for one in found.lease.waiting) if found.lease else ()
        values = {
            "glance": glance(found),
            "pulls": pulls,
            "runs": runs,
            "waiting": waiting,
            "key": found.key,
            "tab": "",
        }
        return show(request, "environment.html", values)

    return routes
