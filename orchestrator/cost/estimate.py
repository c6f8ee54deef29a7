"""Estimate the monthly cost of resources, one line item each, and list those without a known price.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from orchestrator.cost.price_list import (
    FREE_TIER_ALARMS,
    HOURS_PER_MONTH,
    MAX_SERVICES_PER_LOAD_BALANCER,
    PRICES_AS_OF,
    PRICES_BY_REGION,
)
from orchestrator.cost.resource_pricing import PRICING_FUNCTIONS, NoPriceError, is_internet_facing
from orchestrator.vocabulary import Resource


class LineItem(Struct, frozen=True):
    """Cost of one resource in USD per month: when idle, and when active all day, every day."""

    address: str
    idle: float
    active: float
    assumptions: str


class Estimate(Struct, frozen=True):
    """Monthly cost in USD before VAT; ``unpriced`` holds (address, reason) of what is not included.

    ``budget_alerts`` are the amounts at which a budget of the stack sends a notification, ascending.
    """

    region: str
    line_items: tuple[LineItem, ...]
    unpriced: tuple[tuple[str, str], ...] = ()
    budget_alerts: tuple[float, ...] = ()
    as_of: str = PRICES_AS_OF

    @property
    def idle(self) -> float:
        """Total when idle."""
        return round(sum(line_item.idle for line_item in self.line_items), 2)

    @property
    def active(self) -> float:
        """Total if the minimum number of instances is active all day, every day."""
        return round(sum(line_item.active for line_item in self.line_items), 2)


class CostChange(Struct, frozen=True):
    """Cost that a change adds (negative: saves) in USD per month.

    ``changed_items`` are (address, before, after), idle.
    """

    idle: float
    active: float
    changed_items: tuple[tuple[str, float, float], ...]


def estimate(resources: Iterable[Resource], region: str) -> Estimate:
    """Return the monthly estimate of ``resources`` in ``region``.

    Types that cost nothing by themselves have no line item.  A size or a region without a price is ``unpriced``.
    """
    resource_list = list(resources)
    by_address = {resource.address: resource for resource in resource_list}
    line_items: list[LineItem] = []
    unpriced: list[tuple[str, str]] = []
    for resource in resource_list:
        try:
            line_items.extend(_price_resource(resource, by_address, region))
        except NoPriceError as error:
            unpriced.append((resource.address, str(error)))
    line_items.extend(
        _price_load_balancers([item for item in resource_list if item.type == "ecs_express_service"], region)
    )
    line_items.extend(_price_alarms([item for item in resource_list if item.type == "cloudwatch_alarm"], region))
    return Estimate(region, tuple(line_items), tuple(unpriced), tuple(sorted(_budget_alerts(resource_list))))


def compare(before: Estimate, after: Estimate) -> CostChange:
    """Return the difference of two estimates.  What has no price in one of them is in neither total."""
    unpriced_addresses = {address for address, _ in (*before.unpriced, *after.unpriced)}
    old_items = {
        line_item.address: line_item for line_item in before.line_items if line_item.address not in unpriced_addresses
    }
    new_items = {
        line_item.address: line_item for line_item in after.line_items if line_item.address not in unpriced_addresses
    }
    zero_item = LineItem("", 0.0, 0.0, "")
    item_pairs = [
        (address, old_items.get(address, zero_item), new_items.get(address, zero_item))
        for address in {**old_items, **new_items}
    ]
    idle = sum(new_item.idle - old_item.idle for _, old_item, new_item in item_pairs)
    active = sum(new_item.active - old_item.active for _, old_item, new_item in item_pairs)
    changed_items = tuple(
        (address, old_item.idle, new_item.idle)
        for address, old_item, new_item in item_pairs
        if old_item.idle != new_item.idle
    )
    return CostChange(round(idle, 2), round(active, 2), changed_items)


def _price_resource(
    resource: Resource, resources_by_address: Mapping[str, Resource], region: str
) -> Iterator[LineItem]:
    pricing_function = PRICING_FUNCTIONS.get(resource.type)
    if pricing_function is None:
        return
    if region not in PRICES_BY_REGION:
        raise NoPriceError(f"no price list for {region}")
    idle, active, assumptions = pricing_function(resource, resources_by_address, PRICES_BY_REGION[region])
    yield LineItem(resource.address, round(idle, 2), round(active, 2), assumptions)


def _price_load_balancers(services: list[Resource], region: str) -> Iterator[LineItem]:
    """Yield the load balancers: up to 25 Express services of a network share one, with an address in two zones."""
    for public in (True, False):
        service_count = sum(is_internet_facing(service) is public for service in services)
        if service_count and region in PRICES_BY_REGION:
            region_prices, load_balancer_count = (
                PRICES_BY_REGION[region],
                -(-service_count // MAX_SERVICES_PER_LOAD_BALANCER),
            )
            addresses = 2 * region_prices.public_ipv4_hour if public else 0.0
            cost = round(load_balancer_count * (region_prices.load_balancer_hour + addresses) * HOURS_PER_MONTH, 2)
            noun = "service" if service_count == 1 else "services"
            address_note = "two public addresses" if public else "internal"
            name = "load_balancer" if public else "load_balancer.internal"
            yield LineItem(
                name,
                cost,
                cost,
                f"{load_balancer_count} for {service_count} Express {noun}, {address_note}; traffic is extra",
            )


def _price_alarms(alarms: list[Resource], region: str) -> Iterator[LineItem]:
    charged_count = len(alarms) - FREE_TIER_ALARMS
    if charged_count > 0 and region in PRICES_BY_REGION:
        cost = round(charged_count * PRICES_BY_REGION[region].alarm_month, 2)
        yield LineItem(
            "cloudwatch_alarm", cost, cost, f"{charged_count} alarms beyond the {FREE_TIER_ALARMS} free ones"
        )


def _budget_alerts(resources: Iterable[Resource]) -> Iterator[float]:
    """Yield the amounts in USD at which the budgets send a notification about actual costs."""
    for budget in resources:
        if budget.type != "budgets_budget" or budget.spec.get("currency", "USD") != "USD":
            continue
        for notification in budget.spec.get("notifications", ()):
            if notification.get("type", "ACTUAL") == "ACTUAL":
                is_percentage = notification.get("unit", "PERCENTAGE") == "PERCENTAGE"
                yield float(notification["threshold"]) * (float(budget.spec["limit"]) / 100 if is_percentage else 1)
