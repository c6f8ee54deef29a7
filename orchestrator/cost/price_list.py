"""Look up AWS's on-demand prices by region and item, each with its source and its date.

``price_list.json`` is shipped; `orchestrator prices refresh` writes a newer file of the same form from AWS's own offer
files.  All prices are in USD before VAT.  Items:

* ``rds.instance.CLASS``: PostgreSQL in one zone, per hour
* ``rds.storage.TYPE``, ``rds.iops.TYPE``, ``rds.throughput.TYPE``: per GB, IOPS or MiB/s and month, in one zone
* ``rds.extended-support.year-1`` (and 2) and ``year-3``: per vCPU and hour
* ``app-runner.gb-hour``, ``app-runner.vcpu-hour``, ``fargate.gb-hour``, ``fargate.vcpu-hour``
* ``load-balancer.hour``, ``public-ipv4.hour``, ``nat-gateway.hour``, ``interface-endpoint.hour``
* ``logs.gb`` (ingested), ``transfer-out.gb`` (to the internet), ``cloudfront.gb``, ``cloudfront.https-10k``
* ``secret.month``, ``alarm.month``, ``kms-key.month``, ``s3.gb-month``, ``ecr.gb-month``
"""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from pathlib import Path

import msgspec
from msgspec import Struct

from orchestrator.problems import Position, Problems

HOURS_PER_MONTH = 730
"""Hours per month, as in AWS's pricing calculator."""

MAX_AGE_DAYS = 90
"""Age from which a price is reported as old."""

_INSTANCE = "rds.instance."

POSTGRESQL_FAMILIES = (
    "t3", "t4g", "m5", "m6g", "m6i", "m7g", "m7i", "m8g", "r5", "r6g", "r6i", "r7g", "r7i", "r8g",
)  # fmt: skip
"""Families of instance classes that are listed where a price could be sourced; others come from AWS's offer files."""

NORMALIZATION_UNITS: Mapping[str, float] = {
    "micro": 0.5, "small": 1, "medium": 2, "large": 4, "xlarge": 8, "2xlarge": 16, "4xlarge": 32, "8xlarge": 64,
    "12xlarge": 96, "16xlarge": 128, "24xlarge": 192, "32xlarge": 256, "48xlarge": 384,
}  # fmt: skip
"""Size of an instance class relative to the others of its family (RDS user guide, size-flexible reserved instances)."""


class Price(Struct, frozen=True, forbid_unknown_fields=True):
    """A list price in USD, where it was read, and on which day (YYYY-MM-DD).  ``note``: how it was derived, if so."""

    usd: float
    source: str
    as_of: str
    note: str = ""


class PriceList(Struct, frozen=True, forbid_unknown_fields=True):
    """Prices by region and item."""

    regions: Mapping[str, Mapping[str, Price]]

    def find(self, region: str, item: str) -> Price | None:
        """Return the price of ``item``; that of an unlisted instance class follows from its family.  None: unknown."""
        prices = self.regions.get(region, {})
        return prices.get(item) or (_scale_from_family(prices, item) if item.startswith(_INSTANCE) else None)

    def updated_with(self, newer: PriceList) -> PriceList:
        """Return this list with every price of ``newer`` in place of its own."""
        regions = {**self.regions}
        for region, prices in newer.regions.items():
            regions[region] = {**regions.get(region, {}), **prices}
        return PriceList(regions)


@functools.cache
def load_shipped() -> PriceList:
    """Return the price list that is shipped with this version."""
    return msgspec.json.decode(Path(__file__).with_suffix(".json").read_bytes(), type=PriceList)


def load_file(path: Path) -> PriceList:
    """Return the price list in ``path``.

    Raises Problems if it cannot be read, or was not written by `orchestrator prices refresh`.
    """
    try:
        return msgspec.json.decode(path.read_bytes(), type=PriceList)
    except (OSError, msgspec.MsgspecError) as error:
        raise Problems.from_message(
            f"cannot read the price list: {error}",
            hint="write it again: orchestrator prices refresh",
            where=Position(str(path)),
        ) from None


def dump(prices: PriceList) -> bytes:
    """Return ``prices`` as JSON, one price a line so that a diff shows what changed."""
    regions = [
        f"  {msgspec.json.encode(region).decode()}: {{\n"
        + ",\n".join(
            f"   {msgspec.json.encode(item).decode()}: {msgspec.json.encode(price).decode()}"
            for item, price in sorted(items.items())
        )
        + "\n  }"
        for region, items in sorted(prices.regions.items())
    ]
    return ('{\n "regions": {\n' + ",\n".join(regions) + "\n }\n}\n").encode()


def _scale_from_family(prices: Mapping[str, Price], item: str) -> Price | None:
    """Return the price of an instance class from the listed class of its family that is nearest in size."""
    family, _, size = item.rpartition(".")
    if size not in NORMALIZATION_UNITS:
        return None
    listed = {
        name.rpartition(".")[2]: price
        for name, price in prices.items()
        if name.rpartition(".")[0] == family and name.rpartition(".")[2] in NORMALIZATION_UNITS
    }
    if not listed:
        return None
    units = NORMALIZATION_UNITS[size]
    nearest = min(listed, key=lambda name: (abs(math.log2(units / NORMALIZATION_UNITS[name])), name))
    base = listed[nearest]
    usd = round(base.usd * units / NORMALIZATION_UNITS[nearest], 4)
    return Price(usd, base.source, base.as_of, f"scaled from {family.removeprefix(_INSTANCE)}.{nearest}")
