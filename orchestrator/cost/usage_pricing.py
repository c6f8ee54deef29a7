"""Price the use that manifests declare beyond what resources cost by themselves: logs, traffic and requests.  Pure.

What AWS gives free each month is per account, so the use of all components is added up before it is priced.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from orchestrator.cost.declared_usage import Amounts, UsageByComponent
from orchestrator.cost.resource_pricing import RegionPrices


class Meter(Struct, frozen=True):
    """What AWS counts: the measures of components that feed it, its price per ``unit_size``, and what is free a month.

    ``unit_size`` is how much of the measure the price is for.
    """

    address: str
    kinds: tuple[str, ...]
    measure: str
    item: str
    free: float
    unit: str
    unit_size: float = 1.0


METERS: tuple[Meter, ...] = (
    Meter("cloudwatch_logs", ("containerservice",), "logsGb", "logs.gb", 5, "GB of logs"),
    Meter("data_transfer", ("containerservice", "bucket"), "trafficGb", "transfer-out.gb", 100, "GB to the internet"),
    Meter("cloudfront_traffic", ("cdn",), "trafficGb", "cloudfront.gb", 1024, "GB to visitors"),
    Meter(
        "cloudfront_requests", ("cdn",), "requestsMillion", "cloudfront.https-10k", 10, "million HTTPS requests", 0.01
    ),
)
"""Free amounts a month: CloudWatch Logs, data transfer out, and CloudFront's pricing pages; all are always free."""


class MeteredCost(Struct, frozen=True):
    """Monthly cost of one meter in USD, by level, and its description."""

    address: str
    usd: Amounts
    description: str


def price_meter(meter: Meter, usage: UsageByComponent, prices: RegionPrices) -> Iterator[MeteredCost]:
    """Yield the cost of one meter, nothing if no component declares its measure.

    Use above what is free without a price is noted in ``prices.missing``.
    """
    amounts = _add_up(meter, usage)
    if amounts is None:
        return
    charged = [max(0.0, amount - meter.free) for amount in amounts]
    unit_price = prices.usd(meter.item, meter.unit) / meter.unit_size if any(charged) else 0.0
    low, expected, high = (round(amount * unit_price, 2) for amount in charged)
    description = f"{amounts[1]:g} {meter.unit} expected ({amounts[0]:g} to {amounts[2]:g}); {meter.free:g} are free"
    yield MeteredCost(meter.address, (low, expected, high), description)


def _add_up(meter: Meter, usage: Mapping[str, Mapping[str, Amounts]]) -> Amounts | None:
    declared = [
        measures[meter.measure]
        for handle, measures in usage.items()
        if handle.partition(".")[0] in meter.kinds and meter.measure in measures
    ]
    if not declared:
        return None
    low, expected, high = (sum(levels) for levels in zip(*declared, strict=True))
    return low, expected, high
