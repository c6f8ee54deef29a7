"""Expand a Budget into a monthly cost budget that sends alerts by e-mail.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator import ownership_tags
from orchestrator.components import Stack
from orchestrator.values import Value
from orchestrator.vocabulary import Component, Resource, Scope

MAX_NOTIFICATIONS = 5

Finding = tuple[tuple[str | int, ...], str, str | None]


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Return the budget with its notifications."""
    spec = component.spec
    desired = {
        "limit": spec["limit"],
        "currency": spec["currency"],
        "period": "MONTHLY",
        "include_credit": spec["includeCredits"],
        "include_refund": spec["includeRefunds"],
        "include_tax": spec["includeTax"],
        "include_support": spec["includeSupport"],
        "notifications": [
            *(_notification("ACTUAL", amount, spec["email"]) for amount in spec["alerts"]),
            *(_notification("FORECASTED", amount, spec["email"]) for amount in spec["forecast"]),
        ],
        "tags": {**spec["tags"], **ownership_tags.build_ownership_tags(stack.scope, component.handle)},
    }
    name = _budget_name(component, stack.scope)
    where = component.where
    return [Resource("budgets_budget", component.name, name, desired, component.handle, where, adopt=component.adopt)]


def exports(component: Component, scope: Scope) -> dict[str, Value]:
    """Return its name; other components need nothing else."""
    return {"name": _budget_name(component, scope)}


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Finding]:
    """Yield problems of the alerts and forecasts; AWS limits their total."""
    alerts, forecast = component.spec["alerts"], component.spec["forecast"]
    if len(alerts) + len(forecast) > MAX_NOTIFICATIONS:
        message = (
            f"too many notifications: {len(alerts)} alerts and {len(forecast)} forecasts; "
            f"AWS allows {MAX_NOTIFICATIONS} per budget"
        )
        yield ("alerts",), message, "remove some, or declare a second Budget"
    if not alerts and not forecast:
        yield ("alerts",), "a budget without alerts or forecasts sends no notifications", "set `alerts: [AMOUNT, ...]`"


def _budget_name(component: Component, scope: Scope) -> str:
    return scope.name_of(component)


def _notification(kind: str, amount: float, email: list[Value]) -> dict[str, Value]:
    return {"type": kind, "operator": "GREATER_THAN", "threshold": amount, "unit": "ABSOLUTE_VALUE", "emails": email}
