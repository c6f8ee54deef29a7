"""Add up an estimate by component, as manifests name them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Annotated, TypeAlias

from msgspec import Meta, Struct
from msgspec.structs import replace

from orchestrator.cost.estimate import Estimate

Usd: TypeAlias = Annotated[float, Meta(ge=0, le=1e9)]
"""An amount in US dollars a month; the limit keeps sums finite."""


class ComponentCost(Struct, frozen=True):
    """Monthly cost of one component in USD: when idle, by expected use, and when active all day.

    What several components share, such as alarms, is a component of its own under the name of the charge.
    """

    component: str
    idle: Usd
    expected: Usd
    active: Usd


def sum_by_component(estimate: Estimate, component_of: Mapping[str, str]) -> tuple[ComponentCost, ...]:
    """Return the sums, the most expensive first.  ``component_of`` maps addresses to component handles."""
    sums: dict[str, ComponentCost] = {}
    for item in estimate.line_items:
        name = component_of.get(item.address, item.address)
        before = sums.get(name, ComponentCost(name, 0.0, 0.0, 0.0))
        sums[name] = replace(
            before,
            idle=round(before.idle + item.idle, 2),
            expected=round(before.expected + item.levels[1], 2),
            active=round(before.active + item.active, 2),
        )
    return tuple(sorted(sums.values(), key=lambda cost: (-max(cost.active, cost.expected), cost.component)))


def sum_changes(
    changed_items: Iterable[tuple[str, float, float]], component_of: Mapping[str, str]
) -> tuple[tuple[str, float, float], ...]:
    """Return (component, before, after) of changed resources in USD, in the order of their first resource."""
    sums: dict[str, tuple[float, float]] = {}
    for address, before, after in changed_items:
        name = component_of.get(address) or address
        old, new = sums.get(name, (0.0, 0.0))
        sums[name] = round(old + before, 2), round(new + after, 2)
    return tuple((name, before, after) for name, (before, after) in sums.items())
