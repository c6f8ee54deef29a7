"""Price each resource type: USD per month when idle and when active, and the assumptions behind it.

Types that are not listed cost nothing by themselves (roles, security groups, gateway endpoints), or only for usage
beyond the always-free tier (CloudFront, SNS, CloudWatch logs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from orchestrator.cost.price_list import HOURS_PER_MONTH, RegionPrices
from orchestrator.resources.apprunner_service.api_shape import parse_units
from orchestrator.values import Ref
from orchestrator.vocabulary import Resource

ResourcesByAddress: TypeAlias = Mapping[str, Resource]
MonthlyCost: TypeAlias = tuple[float, float, str]

ASSUMED_BUCKET_GB = 5
ASSUMED_REPOSITORY_GB = 1
"""Assumed contents of a bucket and of a repository, because manifests set no sizes."""


class NoPriceError(LookupError):
    """The price list has no price; the message says for what."""


def _price_app_runner_service(
    service: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices
) -> MonthlyCost:
    """Return the cost: memory is billed for every provisioned instance, vCPU only for those that handle requests."""
    autoscaling = resources_by_address.get(f"apprunner_autoscaling.{service.name}")
    scaling_spec = autoscaling.spec if autoscaling else {"min_size": 1, "max_size": 1}
    count = int(scaling_spec["min_size"])
    cpu, memory = parse_units(service.spec["cpu"]) / 1024, parse_units(service.spec["memory"]) / 1024
    idle = count * memory * prices.app_runner_gb_hour * HOURS_PER_MONTH
    active = idle + count * cpu * prices.app_runner_vcpu_hour * HOURS_PER_MONTH
    description = f"{count} x {cpu:g} vCPU, {memory:g} GB"
    return (
        idle,
        active,
        f"{description}: memory billed all day, vCPU while active; up to {scaling_spec['max_size']} under load",
    )


def _price_express_service(
    service: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices
) -> MonthlyCost:
    """Return the cost: tasks are billed while they run, even when idle, and each public task has a billed address."""
    scaling_spec = service.spec["scaling"]
    count = int(scaling_spec["min"])
    cpu, memory = service.spec["cpu"] / 1024, service.spec["memory"] / 1024
    address = prices.public_ipv4_hour if is_internet_facing(service) else 0.0
    cost = count * (cpu * prices.fargate_vcpu_hour + memory * prices.fargate_gb_hour + address) * HOURS_PER_MONTH
    return (
        cost,
        cost,
        f"{count} x {cpu:g} vCPU, {memory:g} GB on Fargate, all day; up to {scaling_spec['max']} under load",
    )


def is_internet_facing(service: Resource) -> bool:
    """Return whether an Express service faces the internet."""
    subnets = service.spec["subnets"]
    return not isinstance(subnets, Ref) or subnets.output == "public_subnets"


def _price_database(database: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices) -> MonthlyCost:
    """Return the cost of the instance and its storage; backups up to the size of the storage are free."""
    spec = database.spec
    instance = _lookup_price(prices.rds_instance_hour, spec["instance_class"], "instance class")
    storage = _lookup_price(prices.rds_storage_gb_month, spec["storage_type"], "storage type")
    zones = 2 if spec.get("multi_az") else 1
    cost = zones * (instance * HOURS_PER_MONTH + storage * float(spec["storage_gb"]))
    availability = "two zones" if zones == 2 else "one zone"
    return cost, cost, f"{spec['instance_class']}, {spec['storage_gb']} GB {spec['storage_type']}, {availability}"


def _price_secret(secret: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices) -> MonthlyCost:
    return prices.secret_month, prices.secret_month, "one secret, few calls"


def _price_bucket(bucket: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices) -> MonthlyCost:
    cost = ASSUMED_BUCKET_GB * prices.s3_gb_month
    return cost, cost, f"{ASSUMED_BUCKET_GB} GB, few requests"


def _price_repository(
    repository: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices
) -> MonthlyCost:
    cost = ASSUMED_REPOSITORY_GB * prices.ecr_gb_month
    return cost, cost, f"{ASSUMED_REPOSITORY_GB} GB of images"


def _lookup_price(prices: Mapping[str, float], size: str, description: str) -> float:
    if size not in prices:
        raise NoPriceError(f"no price for {description} {size}")
    return prices[size]


PRICING_FUNCTIONS: Mapping[str, Callable[[Resource, ResourcesByAddress, RegionPrices], MonthlyCost]] = {
    "apprunner_service": _price_app_runner_service,
    "ecr_repository": _price_repository,
    "ecs_express_service": _price_express_service,
    "rds_instance": _price_database,
    "s3_bucket": _price_bucket,
    "secretsmanager_secret": _price_secret,
}
