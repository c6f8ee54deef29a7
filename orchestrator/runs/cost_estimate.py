"""Estimate what the stack of a folder of manifests costs, by component.  Reads no AWS."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from pathlib import Path

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import cost
from orchestrator.components.project import awake_schedule
from orchestrator.cost import (
    account_offers,
    advice,
    declared_usage,
    measured_usage,
    project_prices,
    scheduled_changes,
)
from orchestrator.cost.by_component import ComponentCost, sum_by_component
from orchestrator.cost.declared_usage import UsageByComponent
from orchestrator.cost.price_list import PriceList
from orchestrator.planning import pipeline
from orchestrator.planning.hibernation import HIBERNATABLE_TYPES
from orchestrator.vocabulary import POWER_HIBERNATED, DesiredState

HOURS_PER_WEEK = 168


class CostReport(Struct, frozen=True):
    """An estimate, its sums by component, its day and that of the account, advice, and costs that will change."""

    estimate: cost.Estimate
    components: tuple[ComponentCost, ...]
    on: date
    account_created: date | None
    advice: tuple[str, ...] = ()
    scheduled: tuple[scheduled_changes.ScheduledChange, ...] = ()


def estimate_manifests(
    folder: Path, environment: str | None, on: date | None = None, measured: UsageByComponent | None = None
) -> CostReport:
    """Estimate the resources that the manifests declare; what is ``measured`` takes the place of declared usage.

    Raises Problems if the manifests or the project's price file are invalid.
    """
    day = on or datetime.now(UTC).date()
    desired = pipeline.load_desired(folder, environment, include_artefacts=False)
    usage = measured_usage.merge(declared_usage.collect(desired.components), measured or {})
    region, prices = desired.scope.region, project_prices.load()
    estimate = cost.estimate(desired.resources, region, prices, on=day, usage=usage)
    if measured:
        estimate = replace(estimate, usage_source="measured")
    component_of = {resource.address: resource.component for resource in desired.resources}
    components = sum_by_component(estimate, component_of)
    scheduled = scheduled_changes.list_scheduled_changes(desired.resources, region, prices, day, usage)
    savings = (*advice.advise(desired.resources, region, prices=prices), *_describe_schedule(desired, estimate, prices))
    created = account_offers.find_created(desired.components)
    return CostReport(estimate, components, day, created, savings, tuple(scheduled))


def _describe_schedule(desired: DesiredState, awake: cost.Estimate, prices: PriceList) -> Iterator[str]:
    """Yield what the schedule of the Project saves, nothing if it has none."""
    project = next(component for component in desired.components if component.kind == "Project")
    if "schedule" not in project.spec:
        return
    resources = [
        replace(item, spec={**item.spec, "power": POWER_HIBERNATED}) if item.type in HIBERNATABLE_TYPES else item
        for item in desired.resources
    ]
    asleep = cost.estimate(resources, desired.scope.region, prices)
    hours = awake_schedule.parse(project.spec["schedule"]).awake_hours
    usual = asleep.idle + (awake.idle - asleep.idle) * hours / HOURS_PER_WEEK
    yield (
        f"The schedule keeps the environment awake for {hours:g} of {HOURS_PER_WEEK} hours a week: about {usual:.2f} "
        f"instead of {awake.idle:.2f} USD a month when idle."
    )
