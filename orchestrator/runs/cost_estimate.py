"""Estimate what the stack of a folder of manifests costs, by component.  Reads no AWS."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct

from orchestrator import cost
from orchestrator.cost import project_prices
from orchestrator.planning import pipeline


class CostReport(Struct, frozen=True):
    """An estimate, its (component, idle, active) sums in USD per month, and the day of the estimate."""

    estimate: cost.Estimate
    components: tuple[tuple[str, float, float], ...]
    on: date


def estimate_manifests(folder: Path, environment: str | None, on: date | None = None) -> CostReport:
    """Estimate the resources that the manifests declare.

    Raises Problems if the manifests or the project's price file are invalid.
    """
    day = on or datetime.now(UTC).date()
    desired = pipeline.load_desired(folder, environment, include_artefacts=False)
    estimate = cost.estimate(desired.resources, desired.scope.region, project_prices.load(), on=day)
    component_of = {resource.address: resource.component for resource in desired.resources}
    sums: dict[str, tuple[float, float]] = {}
    for item in estimate.line_items:
        name = component_of.get(item.address, item.address)
        idle, active = sums.get(name, (0.0, 0.0))
        sums[name] = (round(idle + item.idle, 2), round(active + item.active, 2))
    return CostReport(estimate, tuple((name, *amounts) for name, amounts in sums.items()), day)
