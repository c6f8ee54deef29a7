"""Advise what costs less for the same: classes of the same size, storage, and gateways that nobody needs.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.cost import price_list
from orchestrator.cost.price_list import HOURS_PER_MONTH, PriceList
from orchestrator.cost.resource_pricing import OFF, NoPriceError, RegionPrices, migration_hour
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import LiveResource, Resource

BILLED_MINIMUM = "billed per second, for at least one minute"
"""How Fargate bills a task (AWS Fargate pricing page)."""
ARM_FAMILIES: Mapping[str, str] = {"t3": "t4g", "m5": "m6g", "m6i": "m6g", "m7i": "m7g", "r5": "r6g", "r6i": "r6g"}
"""Families with Graviton processors that have sizes of the same vCPUs and memory (RDS user guide, "Hardware
specifications for DB instance classes").  A database needs no other build of the application for it."""

NETWORK_ADDRESS = "ec2_vpc.network"


def advise(
    resources: Iterable[Resource],
    region: str,
    live: Mapping[str, LiveResource] | None = None,
    *,
    prices: PriceList | None = None,
) -> Iterator[str]:
    """Yield one sentence for each saving, with its amount in USD a month.

    ``live`` are the resources in AWS, by address: they tell of gateways in the network.
    """
    price_table = prices or price_list.load_shipped()
    for resource in resources:
        if resource.type == "rds_instance":
            yield from _advise_class(resource, region, price_table)
            yield from _advise_storage(resource, region, price_table)
    network = (live or {}).get(NETWORK_ADDRESS)
    if network is not None:
        yield from _advise_gateways(network, region, price_table)


def _advise_class(database: Resource, region: str, prices: PriceList) -> Iterator[str]:
    instance_class = str(database.spec["instance_class"])
    prefix, family, size = [*instance_class.split("."), "", ""][:3]
    equal = f"{prefix}.{ARM_FAMILIES[family]}.{size}" if family in ARM_FAMILIES else ""
    current, other = (prices.find(region, f"rds.instance.{name}") for name in (instance_class, equal))
    if current is None or other is None or other.usd >= current.usd:
        return
    if database.spec.get("power") in OFF:
        return
    zones = 2 if database.spec.get("multi_az") else 1
    saving = (current.usd - other.usd) * HOURS_PER_MONTH * zones
    yield (
        f"{database.address}: {equal} has the same vCPUs and memory as {instance_class} and costs {saving:.2f} USD a "
        f"month less. Set `instanceClass: {equal}`; the change restarts the database."
    )


def _advise_storage(database: Resource, region: str, prices: PriceList) -> Iterator[str]:
    spec = database.spec
    current, other = (prices.find(region, f"rds.storage.{kind}") for kind in (spec["storage_type"], "gp3"))
    if spec["storage_type"] != "gp2" or current is None or other is None or other.usd >= current.usd:
        return
    size = float(str(spec["storage_gb"]))
    zones = 2 if spec.get("multi_az") else 1
    saving = (current.usd - other.usd) * size * zones
    yield (
        f"{database.address}: gp3 storage costs {saving:.2f} USD a month less than gp2 and has at least 3,000 IOPS "
        "at any size. Set `storage.type: gp3`; the change causes no outage."
    )


def _advise_gateways(network: LiveResource, region: str, prices: PriceList) -> Iterator[str]:
    """Yield the NAT gateways of the network: nothing of a stack needs one, because S3 has a gateway endpoint."""
    gateways = network.private.get("nat_gateways", ())
    price = prices.find(region, "nat-gateway.hour")
    if not gateways:
        return
    amount = f" of {price.usd * HOURS_PER_MONTH:.2f} USD a month each" if price is not None else ""
    yield (
        f"The network routes traffic through {', '.join(gateways)}, which the estimate does not include (a "
        f"charge{amount}, traffic is extra). This stack does not need a NAT gateway: S3 is reached through the free "
        "gateway endpoint, and secrets are injected. If nothing else uses the gateway, delete it."
    )


def describe_migrations(
    resources: Iterable[Resource], region: str, *, prices: PriceList | None = None
) -> Iterator[str]:
    """Yield what the task of each migration in the VPC is and costs: it is part of no monthly sum."""
    for resource in resources:
        instructions = resource.spec.get("how") if resource.type == "migration" else None
        options = instructions.value if isinstance(instructions, WriteOnly) else instructions
        task = options.get("task") if isinstance(options, Mapping) else None
        if not isinstance(task, Mapping):
            continue
        try:
            hour = migration_hour(task, RegionPrices(prices or price_list.load_shipped(), region))
            price = f"about {hour / 6:.4f} USD for ten minutes ({BILLED_MINIMUM})"
        except NoPriceError as error:
            price = str(error)
        cpu, memory = float(str(task["cpu"])) / 1024, float(str(task["memory"])) / 1024
        yield (
            f"{resource.address} runs in the VPC as one Fargate task of {cpu:g} vCPU and {memory:g} GB ({price}). Its "
            f"log is in {task['log_group']}."
        )
