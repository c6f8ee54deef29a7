"""Convert the costs that runs left behind to points in time.  Pure."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime

from orchestrator.cost.applied_months import CostPoint
from orchestrator.state.protocol.records import AppliedCost

UNSPLIT = "not split by component"
"""Name of the cost of runs that reported the total only."""


def to_points(costs: Iterable[AppliedCost]) -> tuple[CostPoint, ...]:
    """Return what the environment was expected to cost since each run, by component, oldest first."""
    ordered = sorted(costs, key=lambda applied: (applied.at, applied.run))
    return tuple(CostPoint(datetime.fromisoformat(applied.at), usd_by_component(applied)) for applied in ordered)


def usd_by_component(applied: AppliedCost) -> dict[str, float]:
    """Return the expected USD a month by component."""
    if applied.cost is None:
        return {UNSPLIT: applied.monthly_usd}
    return {component.component: component.expected for component in applied.cost.components}
