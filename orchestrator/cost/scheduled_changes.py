"""List the days on which a stack costs more or less although nobody changes it.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date, timedelta

from msgspec import Struct

from orchestrator.cost.declared_usage import UsageByComponent
from orchestrator.cost.estimate import Estimate, compare, estimate
from orchestrator.cost.price_list import PriceList
from orchestrator.cost.support_calendar import extended_support_charges
from orchestrator.vocabulary import Resource

DAYS_AHEAD = 365


class ScheduledChange(Struct, frozen=True):
    """The first day of another cost, USD a month when idle before and from that day on, and what costs more or less.

    ``is_complete``: whether every resource has a price; otherwise both amounts are lower limits.
    """

    on: date
    before: float
    after: float
    causes: tuple[str, ...]
    is_complete: bool = True

    def describe(self) -> str:
        """Return the change in one sentence."""
        limit = "" if self.is_complete else "at least "
        return (
            f"From {self.on}, the stack costs {limit}{self.after:.2f} USD a month idle instead of {self.before:.2f}: "
            f"{'; '.join(self.causes)}."
        )


def list_scheduled_changes(
    resources: Iterable[Resource],
    region: str,
    prices: PriceList | None,
    on: date,
    usage: UsageByComponent | None = None,
    days: int = DAYS_AHEAD,
) -> list[ScheduledChange]:
    """Return the changes after ``on``, at most ``days`` ahead, in the order of their days."""
    resource_list = list(resources)
    changes = []
    for day in sorted(set(_list_days(resource_list))):
        if on < day <= on + timedelta(days=days):
            before = estimate(resource_list, region, prices, on=day - timedelta(days=1), usage=usage)
            after = estimate(resource_list, region, prices, on=day, usage=usage)
            if before.idle != after.idle:
                causes = tuple(_describe_causes(before, after))
                changes.append(ScheduledChange(day, before.idle, after.idle, causes, not after.unpriced))
    return changes


def _list_days(resources: Iterable[Resource]) -> Iterator[date]:
    """Yield the days on which a charge begins or changes, whether the resource is charged or not."""
    for resource in resources:
        if resource.type == "rds_instance":
            yield from extended_support_charges(str(resource.spec.get("version", "")).partition(".")[0]) or ()


def _describe_causes(before: Estimate, after: Estimate) -> Iterator[str]:
    assumptions = {item.address: item.assumptions for item in after.line_items}
    for address, old, new in compare(before, after).changed_items:
        yield f"{address} {old:.2f} to {new:.2f} ({assumptions.get(address, '')})"
