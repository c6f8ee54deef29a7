"""Planning and applying against the emulator whose environment is set, by clients that it keeps: dear to make."""

from __future__ import annotations

import os
from functools import cache
from typing import Any

from orchestrator.aws import Clients
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.planning import pipeline
from orchestrator.planning.events import ignore_event
from orchestrator.planning.plan import PreparedPlan
from orchestrator.values import Ref
from orchestrator.vocabulary import Actuation, Change, DesiredState, Outcome, Resource
from tests import performed_calls
from tests.components.container_services import POSITION, SCOPE

NETWORK = Resource("ec2_vpc", "network", "default", {"vpc": "default"}, "project.shop", POSITION)

DATABASE_GROUP = Resource(
    "ec2_security_group",
    "main",
    "shop-prod-main",
    {
        "vpc": Ref("ec2_vpc.network", "id"),
        "description": "database.main of shop/prod",
        "ingress": [],
        "egress": [],
        "tags": build_ownership_tags(SCOPE, "database.main"),
    },
    "database.main",
    POSITION,
)


@cache
def _cached_clients(url: str) -> Clients:
    return Clients(SCOPE.region, attempts=1)


def clients() -> Clients:
    """Those of the running emulator."""
    return _cached_clients(os.environ["AWS_ENDPOINT_URL"])


def plan(desired: DesiredState, **options: Any) -> PreparedPlan:
    return pipeline.plan(desired, clients=clients(), **options)


def list_pending(desired: DesiredState) -> list[str]:
    return [f"{change.action} {change.address}" for change in plan(desired).plan.pending_changes]


def apply(desired: DesiredState, **options: Any) -> dict[str, Outcome]:
    outcomes = performed_calls.apply(plan(desired, **options), ignore_event, clients=clients())
    return {outcome.address: outcome for outcome in outcomes}


def list_failed(outcomes: dict[str, Outcome]) -> list[str]:
    return [address for address, outcome in outcomes.items() if outcome.actuation is Actuation.FAILED]


def find_change(planned: PreparedPlan, address: str) -> Change:
    return next(change for change in planned.plan.changes if change.address == address)
