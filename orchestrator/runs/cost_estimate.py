"""Estimate what the stack of a folder of manifests costs, by component.  Reads no AWS."""

from __future__ import annotations

from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct

from orchestrator import cost
from orchestrator.cost import advice, declared_usage, project_prices
from orchestrator.cost.by_component import ComponentCost, sum_by_component
from orchestrator.planning import pipeline


class CostReport(Struct, frozen=True):
    """An estimate, its sums by component, the day of the estimate, and advice on what costs less for the same."""

    estimate: cost.Estimate
    components: tuple[ComponentCost, ...]
    on: date
    advice: tuple[str, ...] = ()


def estimate_manifests(folder: Path, environment: str | None, on: date | None = None) -> CostReport:
    """Estimate the resources that the manifests declare.

    Raises Problems if the manifests or the project's price file are invalid.
    """
    day = on or datetime.now(UTC).date()
    desired = pipeline.load_desired(folder, environment, include_artefacts=False)
    usage = declared_usage.collect(desired.components)
    region, prices = desired.scope.region, project_prices.load()
    estimate = cost.estimate(desired.resources, region, prices, on=day, usage=usage)
    component_of = {resource.address: resource.component for resource in desired.resources}
    components = sum_by_component(estimate, component_of)
    return CostReport(estimate, components, day, tuple(advice.advise(desired.resources, region, prices=prices)))
