"""Estimate the monthly cost of resources, one line item each, and list those without a known price.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from datetime import date
from functools import partial
from typing import TypeAlias

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.cost import price_list
from orchestrator.cost.declared_usage import Amounts, UsageByComponent
from orchestrator.cost.price_list import HOURS_PER_MONTH, PriceList
from orchestrator.cost.resource_pricing import PRICING_FUNCTIONS, NoPriceError, RegionPrices, is_internet_facing
from orchestrator.cost.usage_pricing import METERS, Meter, price_meter
from orchestrator.vocabulary import Resource

MAX_SERVICES_PER_LOAD_BALANCER = 25
"""Express services that can share a load balancer (developer guide)."""

FREE_TIER_ALARMS = 10
"""Standard-resolution alarms per account in the always-free tier."""


Pricing: TypeAlias = Callable[[RegionPrices], Iterator["LineItem"]]


class LineItem(Struct, frozen=True):
    """Cost of one resource in USD per month: when idle, and when active all day, every day.

    ``by_usage``: low, expected and high cost by declared use, None if its component declares none.
    """

    address: str
    idle: float
    active: float
    assumptions: str
    by_usage: Amounts | None = None

    @property
    def levels(self) -> Amounts:
        """Low, expected and high cost; what declares no use costs what it costs when idle."""
        return self.by_usage or (self.idle, self.idle, self.idle)


class Estimate(Struct, frozen=True):
    """Monthly cost in USD before VAT; ``unpriced`` holds (address, reason) of what is not included.

    ``budget_alerts`` are the amounts at which a budget of the stack sends a notification, ascending.  ``as_of`` is the
    date of the oldest price in it, "" if there is none.  ``usage_source`` says where its usage is from.
    """

    region: str
    line_items: tuple[LineItem, ...]
    unpriced: tuple[tuple[str, str], ...] = ()
    budget_alerts: tuple[float, ...] = ()
    as_of: str = ""
    usage_source: str = "declared"

    @property
    def idle(self) -> float:
        """Total when idle."""
        return round(sum(line_item.idle for line_item in self.line_items), 2)

    @property
    def active(self) -> float:
        """Total if the minimum number of instances is active all day, every day."""
        return round(sum(line_item.active for line_item in self.line_items), 2)

    @property
    def by_usage(self) -> Amounts | None:
        """Low, expected and high total, None if no component declares its use."""
        if all(line_item.by_usage is None for line_item in self.line_items):
            return None
        low, expected, high = (sum(amounts) for amounts in zip(*(item.levels for item in self.line_items), strict=True))
        return round(low, 2), round(expected, 2), round(high, 2)

    @property
    def expected(self) -> float:
        """Total by declared use, or when idle if none is declared."""
        return self.by_usage[1] if self.by_usage else self.idle


class CostChange(Struct, frozen=True):
    """Cost that a change adds (negative: saves) in USD per month.

    ``changed_items`` are (address, before, after), idle.
    """

    idle: float
    active: float
    changed_items: tuple[tuple[str, float, float], ...]


def estimate(
    resources: Iterable[Resource],
    region: str,
    prices: PriceList | None = None,
    *,
    on: date | None = None,
    usage: UsageByComponent | None = None,
) -> Estimate:
    """Return the monthly estimate of ``resources`` in ``region``, by the shipped prices unless others are given.

    ``on``: the day that decides which charges apply (extended support).  ``usage``: what components declare.  Types
    that cost nothing by themselves have no line item.  A size or a region without a price is ``unpriced``.
    """
    used_dates: set[str] = set()
    resource_list = list(resources)
    present = {resource.component for resource in resource_list}
    usage = {handle: amounts for handle, amounts in (usage or {}).items() if handle in present}
    line_items: list[LineItem] = []
    unpriced: list[tuple[str, str]] = []
    for address, price in _list_pricings(resource_list, usage):
        region_prices = RegionPrices(prices or price_list.load_shipped(), region, on, used_dates)
        try:
            items = list(price(region_prices))
        except NoPriceError as error:
            unpriced.append((address, str(error)))
            continue
        if region_prices.missing:
            unpriced.append((address, ", ".join(region_prices.missing)))
            items = [_mark_partial(item) for item in items if any((item.idle, item.active, *item.levels))]
        line_items.extend(items)
    alerts = tuple(sorted(_budget_alerts(resource_list)))
    return Estimate(region, tuple(line_items), tuple(unpriced), alerts, min(used_dates, default=""))


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


def _list_pricings(resources: list[Resource], usage: UsageByComponent) -> Iterator[tuple[str, Pricing]]:
    """Yield an address and the function that prices it, for each resource and for what resources share."""
    by_address = {resource.address: resource for resource in resources}
    for resource in resources:
        yield (
            resource.address,
            partial(_price_resource, resource, by_address, measures=usage.get(resource.component, {})),
        )
    yield "load_balancer", partial(_price_load_balancers, resources)
    yield "cloudwatch_alarm", partial(_price_alarms, resources)
    for meter in METERS:
        yield meter.address, partial(_price_meter, meter, usage)


def _mark_partial(item: LineItem) -> LineItem:
    return replace(item, assumptions=f"{item.assumptions}; excludes parts without a price")


def _price_resource(
    resource: Resource,
    resources_by_address: Mapping[str, Resource],
    prices: RegionPrices,
    measures: Mapping[str, Amounts],
) -> Iterator[LineItem]:
    if pricing_function := PRICING_FUNCTIONS.get(resource.type):
        price = pricing_function(resource, resources_by_address, prices, measures)
        by_usage = None
        if price.by_usage is not None:
            low, expected, high = (round(amount, 2) for amount in price.by_usage)
            by_usage = (low, expected, high)
        yield LineItem(
            resource.address, round(price.idle, 2), round(price.active, 2), price.assumptions, by_usage=by_usage
        )


def _price_meter(meter: Meter, usage: UsageByComponent, prices: RegionPrices) -> Iterator[LineItem]:
    for cost in price_meter(meter, usage, prices):
        yield LineItem(cost.address, 0.0, 0.0, cost.description, by_usage=cost.usd)


def _price_load_balancers(resources: list[Resource], prices: RegionPrices) -> Iterator[LineItem]:
    """Yield the load balancers: up to 25 Express services of a network share one, with an address in two zones."""
    services = [resource for resource in resources if resource.type == "ecs_express_service"]
    for public in (True, False):
        service_count = sum(is_internet_facing(service) is public for service in services)
        if not service_count:
            continue
        load_balancer_count = -(-service_count // MAX_SERVICES_PER_LOAD_BALANCER)
        hourly = prices.usd("load-balancer.hour", "a load balancer")
        hourly += 2 * prices.usd("public-ipv4.hour", "public IPv4 addresses") if public else 0.0
        cost = round(load_balancer_count * hourly * HOURS_PER_MONTH, 2)
        noun = "service" if service_count == 1 else "services"
        address_note = "two public addresses" if public else "internal"
        yield LineItem(
            "load_balancer" if public else "load_balancer.internal",
            cost,
            cost,
            f"{load_balancer_count} for {service_count} Express {noun}, {address_note}; traffic is extra",
        )


def _price_alarms(resources: list[Resource], prices: RegionPrices) -> Iterator[LineItem]:
    charged_count = sum(resource.type == "cloudwatch_alarm" for resource in resources) - FREE_TIER_ALARMS
    if charged_count > 0:
        cost = round(charged_count * prices.usd("alarm.month", "an alarm"), 2)
        yield LineItem(
            "cloudwatch_alarm", cost, cost, f"{charged_count} alarms beyond the {FREE_TIER_ALARMS} free ones"
        )


def _budget_alerts(resources: Iterable[Resource]) -> Iterator[float]:
    """Yield the amounts in USD at which the budgets send a notification about actual costs."""
    for budget in resources:
        if budget.type == "budgets_budget" and budget.spec.get("currency", "USD") == "USD":
            yield from list_alerts(budget)


def list_alerts(budget: Resource) -> Iterator[float]:
    """Yield the amounts at which a budget sends a notification about actual costs, in the currency of its limit."""
    for notification in budget.spec.get("notifications", ()):
        if notification.get("type", "ACTUAL") == "ACTUAL":
            is_percentage = notification.get("unit", "PERCENTAGE") == "PERCENTAGE"
            yield float(notification["threshold"]) * (float(budget.spec["limit"]) / 100 if is_percentage else 1)
