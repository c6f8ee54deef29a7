"""How each resource type that costs something is priced: (idle, active, what that assumes), USD a month.

Types that are not here cost nothing by themselves (roles, security groups, gateway endpoints), or only by their use
beyond what is always free (CloudFront, SNS, CloudWatch logs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeAlias

from orchestrator.cost.price_list import HOURS, Prices
from orchestrator.resources.apprunner_service.api_shape import units
from orchestrator.values import Ref
from orchestrator.vocabulary import Resource

Table: TypeAlias = Mapping[str, Resource]
Priced: TypeAlias = tuple[float, float, str]

BUCKET_GB = 5
REPOSITORY_GB = 1
"""What a bucket and a repository are taken to hold; they tell no sizes."""


class NoPriceError(LookupError):
    """The table has no price for this; says for what."""


def _service(service: Resource, table: Table, prices: Prices) -> Priced:
    """Memory is billed for every provisioned instance, vCPU only for those that handle requests."""
    scaling = table.get(f"apprunner_autoscaling.{service.name}")
    sizes = scaling.spec if scaling else {"min_size": 1, "max_size": 1}
    count = int(sizes["min_size"])
    cpu, memory = units(service.spec["cpu"]) / 1024, units(service.spec["memory"]) / 1024
    idle = count * memory * prices.memory * HOURS
    active = idle + count * cpu * prices.cpu * HOURS
    size = f"{count} x {cpu:g} vCPU, {memory:g} GB"
    return idle, active, f"{size}: memory all day, vCPU while it works; up to {sizes['max_size']} under load"


def _express(service: Resource, table: Table, prices: Prices) -> Priced:
    """Tasks are billed for as long as they run, whether anybody asks them or not; public ones have an address each."""
    sizes = service.spec["scaling"]
    count = int(sizes["min"])
    cpu, memory = service.spec["cpu"] / 1024, service.spec["memory"] / 1024
    address = prices.address if is_public(service) else 0.0
    cost = count * (cpu * prices.task_cpu + memory * prices.task_memory + address) * HOURS
    return cost, cost, f"{count} x {cpu:g} vCPU, {memory:g} GB on Fargate, all day; up to {sizes['max']} under load"


def is_public(service: Resource) -> bool:
    """Whether an Express service faces the internet."""
    subnets = service.spec["subnets"]
    return not isinstance(subnets, Ref) or subnets.output == "public_subnets"


def _database(database: Resource, table: Table, prices: Prices) -> Priced:
    """Backups up to the size of the storage cost nothing."""
    spec = database.spec
    instance = _price(prices.databases, spec["instance_class"], "an instance")
    storage = _price(prices.storage, spec["storage_type"], "storage")
    zones = 2 if spec.get("multi_az") else 1
    cost = zones * (instance * HOURS + storage * float(spec["storage_gb"]))
    where = "two zones" if zones == 2 else "one zone"
    return cost, cost, f"{spec['instance_class']}, {spec['storage_gb']} GB {spec['storage_type']}, {where}"


def _secret(secret: Resource, table: Table, prices: Prices) -> Priced:
    return prices.secret, prices.secret, "one secret, few calls"


def _bucket(bucket: Resource, table: Table, prices: Prices) -> Priced:
    cost = BUCKET_GB * prices.objects
    return cost, cost, f"{BUCKET_GB} GB, few requests"


def _repository(repository: Resource, table: Table, prices: Prices) -> Priced:
    cost = REPOSITORY_GB * prices.images
    return cost, cost, f"{REPOSITORY_GB} GB of images"


def _price(prices: Mapping[str, float], size: str, what: str) -> float:
    if size not in prices:
        raise NoPriceError(f"there is no price of {what} {size}")
    return prices[size]


PRICERS: Mapping[str, Callable[[Resource, Table, Prices], Priced]] = {
    "apprunner_service": _service,
    "ecr_repository": _repository,
    "ecs_express_service": _express,
    "rds_instance": _database,
    "s3_bucket": _bucket,
    "secretsmanager_secret": _secret,
}
