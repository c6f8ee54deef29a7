"""Planning and applying against the emulator whose environment is set, by clients that it keeps: dear to make."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from orchestrator.aws import Clients
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore
from orchestrator.planning.plan import Planned
from orchestrator.vocabulary import Actuation, Change, Desired, Outcome, Resource
from tests.components.services import HERE, SCOPE

NETWORK = Resource("ec2_vpc", "network", "default", {"vpc": "default"}, "project.shop", HERE)


@cache
def _clients(url: str) -> Clients:
    return Clients(SCOPE.region, attempts=1)


def clients() -> Clients:
    """Those of the running emulator."""
    return _clients(os.environ["AWS_ENDPOINT_URL"])


def plan(desired: Desired, **options: Any) -> Planned:
    return pipeline.plan(desired, clients=clients(), **options)


def pending(desired: Desired) -> list[str]:
    return [f"{change.action} {change.address}" for change in plan(desired).plan.pending]


def apply(desired: Desired, **options: Any) -> dict[str, Outcome]:
    outcomes = pipeline.apply(plan(desired, **options), ignore, clients=clients())
    return {outcome.address: outcome for outcome in outcomes}


def failed(outcomes: dict[str, Outcome]) -> list[str]:
    return [address for address, outcome in outcomes.items() if outcome.actuation is Actuation.FAILED]


def change_of(planned: Planned, address: str) -> Change:
    return next(change for change in planned.plan.changes if change.address == address)
