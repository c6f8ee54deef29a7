"""How each resource type that costs something is priced: (idle, active, what that assumes), USD a month.

Types that are not here cost nothing by themselves (roles, security groups, gateway endpoints), or only by their use
beyond what is always free (CloudFront, SNS, CloudWatch logs).
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
"""What a bucket and a repository are taken to hold; they tell no sizes."""


class NoPriceError(LookupError):
    """The table has no price for this; says for what."""


def _price_app_runner_service(
    service: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices
) -> MonthlyCost:
    """Memory is billed for every provisioned instance, vCPU only for those that handle requests."""
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
        f"{description}: memory all day, vCPU while it works; up to {scaling_spec['max_size']} under load",
    )


def _price_express_service(
    service: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices
) -> MonthlyCost:
    """Tasks are billed for as long as they run, whether anybody asks them or not; public ones have an address each."""
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
    """Whether an Express service faces the internet."""
    subnets = service.spec["subnets"]
    return not isinstance(subnets, Ref) or subnets.output == "public_subnets"


def _price_database(database: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices) -> MonthlyCost:
    """Backups up to the size of the storage cost nothing."""
    spec = database.spec
    instance = _lookup_price(prices.rds_instance_hour, spec["instance_class"], "an instance")
    storage = _lookup_price(prices.rds_storage_gb_month, spec["storage_type"], "storage")
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
        raise NoPriceError(f"there is no price of {description} {size}")
    return prices[size]


PRICING_FUNCTIONS: Mapping[str, Callable[[Resource, ResourcesByAddress, RegionPrices], MonthlyCost]] = {
    "apprunner_service": _price_app_runner_service,
    "ecr_repository": _price_repository,
    "ecs_express_service": _price_express_service,
    "rds_instance": _price_database,
    "s3_bucket": _price_bucket,
    "secretsmanager_secret": _price_secret,
}
