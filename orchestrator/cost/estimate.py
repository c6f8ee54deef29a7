"""The estimate: one line a resource that has a price of its own, and the names of those whose price is not known."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from msgspec import Struct

from orchestrator.cost.price_list import AS_OF, BEHIND_ONE, FREE_ALARMS, HOURS, PRICES
from orchestrator.cost.resource_pricing import PRICERS, NoPriceError, is_public
from orchestrator.vocabulary import Resource


class Line(Struct, frozen=True):
    """What one resource costs: USD a month while nobody uses it, and while it works all day, every day."""

    address: str
    idle: float
    active: float
    assumes: str


class Estimate(Struct, frozen=True):
    """USD a month before VAT; ``unpriced`` holds (address, why) of what is not in the sum.

    ``alerts``: the amounts at which a budget of the stack writes to somebody, ascending.
    """

    region: str
    lines: tuple[Line, ...]
    unpriced: tuple[tuple[str, str], ...] = ()
    alerts: tuple[float, ...] = ()
    as_of: str = AS_OF

    @property
    def idle(self) -> float:
        """The sum while nobody uses it."""
        return round(sum(line.idle for line in self.lines), 2)

    @property
    def active(self) -> float:
        """The sum if the instances that are always there work all day, every day."""
        return round(sum(line.active for line in self.lines), 2)


class Delta(Struct, frozen=True):
    """What a change adds (or saves, below 0), in USD a month; ``lines`` are (address, before, after), idle."""

    idle: float
    active: float
    lines: tuple[tuple[str, float, float], ...]


def estimate(resources: Iterable[Resource], region: str) -> Estimate:
    """The monthly estimate of ``resources`` in ``region``.

    Types that cost nothing by themselves have no line.  A size or a region without a price is ``unpriced``.
    """
    table = list(resources)
    by_address = {resource.address: resource for resource in table}
    lines: list[Line] = []
    unpriced: list[tuple[str, str]] = []
    for resource in table:
        try:
            lines.extend(_line(resource, by_address, region))
        except NoPriceError as error:
            unpriced.append((resource.address, str(error)))
    lines.extend(_balancers([one for one in table if one.type == "ecs_express_service"], region))
    lines.extend(_alarms([one for one in table if one.type == "cloudwatch_alarm"], region))
    return Estimate(region, tuple(lines), tuple(unpriced), tuple(sorted(_alerts(table))))


def delta(before: Estimate, after: Estimate) -> Delta:
    """What it costs more (or less) after than before.  What has no price on one side is in neither sum."""
    unknown = {address for address, _ in (*before.unpriced, *after.unpriced)}
    old = {line.address: line for line in before.lines if line.address not in unknown}
    new = {line.address: line for line in after.lines if line.address not in unknown}
    nothing = Line("", 0.0, 0.0, "")
    sides = [(address, old.get(address, nothing), new.get(address, nothing)) for address in {**old, **new}]
    idle = sum(will.idle - was.idle for _, was, will in sides)
    active = sum(will.active - was.active for _, was, will in sides)
    moved = tuple((address, was.idle, will.idle) for address, was, will in sides if was.idle != will.idle)
    return Delta(round(idle, 2), round(active, 2), moved)


def _line(resource: Resource, table: Mapping[str, Resource], region: str) -> Iterator[Line]:
    price = PRICERS.get(resource.type)
    if price is None:
        return
    if region not in PRICES:
        raise NoPriceError(f"there is no price list of {region}")
    idle, active, assumes = price(resource, table, PRICES[region])
    yield Line(resource.address, round(idle, 2), round(active, 2), assumes)


def _balancers(services: list[Resource], region: str) -> Iterator[Line]:
    """Express services of one network share a load balancer, 25 at a time; it has an address in each of two zones."""
    for public in (True, False):
        behind = sum(is_public(one) is public for one in services)
        if behind and region in PRICES:
            prices, count = PRICES[region], -(-behind // BEHIND_ONE)
            addresses = 2 * prices.address if public else 0.0
            cost = round(count * (prices.balancer + addresses) * HOURS, 2)
            word = "service" if behind == 1 else "services"
            what = "two public addresses" if public else "inside the network"
            name = "load_balancer" if public else "load_balancer.internal"
            yield Line(name, cost, cost, f"{count} for {behind} Express {word}, {what}; traffic on top")


def _alarms(alarms: list[Resource], region: str) -> Iterator[Line]:
    charged = len(alarms) - FREE_ALARMS
    if charged > 0 and region in PRICES:
        cost = round(charged * PRICES[region].alarm, 2)
        yield Line("cloudwatch_alarm", cost, cost, f"{charged} alarms beyond the {FREE_ALARMS} free ones")


def _alerts(resources: Iterable[Resource]) -> Iterator[float]:
    """Amounts of USD at which the budgets write to somebody about what was really spent."""
    for budget in resources:
        if budget.type != "budgets_budget" or budget.spec.get("currency", "USD") != "USD":
            continue
        for notice in budget.spec.get("notifications", ()):
            if notice.get("type", "ACTUAL") == "ACTUAL":
                is_share = notice.get("unit", "PERCENTAGE") == "PERCENTAGE"
                yield float(notice["threshold"]) * (float(budget.spec["limit"]) / 100 if is_share else 1)
