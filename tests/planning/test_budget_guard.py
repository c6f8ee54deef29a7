"""A Budget with ``enforce: true`` vetoes what would raise the cost above its limit, and nothing else."""

from __future__ import annotations

from typing import Any

import pytest

from orchestrator.planning.plan import build
from orchestrator.planning.snapshot import Snapshot
from orchestrator.problems import Position
from orchestrator.vocabulary import Component, DesiredState, LiveResource, Resource, Scope

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
OURS = {"orchestrator:project": "shop", "orchestrator:environment": "prod", "orchestrator:component": "secret.a"}
TODAY = "2026-11-30"


def secret(name: str) -> Resource:
    """A secret, at 0.40 USD a month."""
    spec: dict[str, Any] = {"description": "", "kms_key": None, "tags": OURS, "generate": {}, "external": []}
    return Resource("secretsmanager_secret", name, f"shop-prod-{name}", spec, "secret.a", Position("secret.yaml"))


def budget(limit: float, *, enforce: bool) -> Component:
    spec: dict[str, Any] = {"limit": limit, "currency": "USD", "enforce": enforce}
    return Component("Budget", "monthly", spec, Position("budget.yaml"))


def live(count: int) -> dict[str, LiveResource]:
    return {
        f"secretsmanager_secret.s{number}": LiveResource(
            secret(f"s{number}").spec, {"arn": "arn", "name": "name"}, owner="shop/prod", component="secret.a"
        )
        for number in range(count)
    }


def vetoes(limit: float, wanted: int, existing: int, *, enforce: bool = True, allow: str = "") -> tuple[list[str], str]:
    secrets = tuple(secret(f"s{number}") for number in range(wanted))
    desired = DesiredState(SCOPE, secrets, components=(budget(limit, enforce=enforce),))
    plan = build(desired, Snapshot("123456789012", live(existing)), allow=allow, today=TODAY).plan
    return [veto.sentence for veto in plan.vetoes if veto.name == "OverBudget"], plan.token


@pytest.mark.parametrize(
    ("limit", "wanted", "existing", "is_vetoed"),
    [
        (0.8, 2, 0, False),  # exactly the limit
        (0.79, 2, 0, True),
        (0.5, 3, 3, False),  # above it already, and nothing is added
        (0.5, 3, 2, True),
    ],
)
def test_only_what_raises_the_cost_above_the_limit(limit: float, wanted: int, existing: int, is_vetoed: bool) -> None:
    found, _ = vetoes(limit, wanted, existing)

    assert bool(found) is is_vetoed
    if found:
        assert f"about {wanted * 0.4:.2f} USD a month, above the limit of {limit:g} USD in budget.monthly" in found[0]
        assert f"(currently {existing * 0.4:.2f} USD)" in found[0]


def test_a_budget_that_only_alerts_vetoes_nothing() -> None:
    assert vetoes(0.1, 2, 0, enforce=False)[0] == []


def test_the_token_of_the_plan_lifts_it() -> None:
    found, token = vetoes(0.1, 2, 0)

    assert len(found) == 1
    assert vetoes(0.1, 2, 0, allow=token)[0] == []
