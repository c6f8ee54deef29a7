"""Price each resource type: USD per month when idle and when active, and the assumptions behind it.

Types that are not listed cost nothing by themselves (roles, security groups, gateway endpoints), or only for usage
beyond the always-free tier (CloudFront, SNS, CloudWatch logs).
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import date
from typing import TypeAlias

from msgspec import Struct, field

from orchestrator.cost.declared_usage import Amounts
from orchestrator.cost.price_list import HOURS_PER_MONTH, PriceList
from orchestrator.cost.support_calendar import extended_support_period
from orchestrator.resources.apprunner_service.api_shape import parse_units
from orchestrator.values import Ref
from orchestrator.vocabulary import POWER_HIBERNATED, POWER_STOPPED, Resource

ResourcesByAddress: TypeAlias = Mapping[str, Resource]
Measures: TypeAlias = Mapping[str, Amounts]
"""Declared use of a component, by measure."""

ASSUMED_BUCKET_GB = 5
ASSUMED_REPOSITORY_GB = 1
"""Assumed contents of a bucket and of a repository, because manifests set no sizes."""

_GP3_STRIPED_GB = 400
_GP3_BASELINE = {False: (3_000, 125), True: (12_000, 500)}
"""IOPS and MiB/s that gp3 includes below and from 400 GB (RDS user guide, "gp3 storage", PostgreSQL)."""

OFF = (POWER_HIBERNATED, POWER_STOPPED)
"""Power in which nothing is charged but storage: a stopped instance (RDS user guide, "Stopping an Amazon RDS DB
instance temporarily"), a paused service (App Runner developer guide, "Pausing a service")."""

_EXTENDED_SUPPORT = "open-source-rds-extended-support"
_VCPUS = {
    "micro": 2, "small": 2, "medium": 2, "large": 2, "xlarge": 4, "2xlarge": 8, "4xlarge": 16, "8xlarge": 32,
    "12xlarge": 48, "16xlarge": 64, "24xlarge": 96, "32xlarge": 128, "48xlarge": 192,
}  # fmt: skip
"""vCPUs by size (RDS user guide, "Hardware specifications for DB instance classes"), for the families from t3 on."""


class MonthlyCost(Struct, frozen=True):
    """USD per month when idle and when active all day, the assumptions, and low, expected and high by declared use."""

    idle: float
    active: float
    assumptions: str
    by_usage: Amounts | None = None


class NoPriceError(LookupError):
    """The price list has no prices of a region; the message says which, and the next command."""


class RegionPrices(Struct, frozen=True):
    """The prices of one region on one day; ``on`` decides which extended support applies, None: none.

    ``used_dates`` collects the dates of the prices that were looked up, ``missing`` what has none: a resource of which
    one part has no price still costs its other parts.
    """

    prices: PriceList
    region: str
    on: date | None = None
    used_dates: set[str] = field(default_factory=set)
    missing: list[str] = field(default_factory=list)

    def usd(self, item: str, description: str) -> float:
        """Return the price of ``item`` in USD, 0 with a note in ``missing`` if the list has none.

        Raises NoPriceError if the list has no price of the region.
        """
        if self.region not in self.prices.regions:
            raise NoPriceError(f"no prices for {self.region}: run `orchestrator prices refresh --region {self.region}`")
        price = self.prices.find(self.region, item)
        if price is None:
            self.add_missing(description)
            return 0.0
        self.used_dates.add(price.as_of)
        return price.usd

    def add_missing(self, description: str) -> None:
        """Note that something is not in the cost, because it has no price."""
        reason = f"no price for {description} in {self.region}"
        if reason not in self.missing:
            self.missing.append(reason)

    def note(self, item: str) -> str:
        """Return how the price of ``item`` was derived, "" if it is listed."""
        price = self.prices.find(self.region, item)
        return price.note if price is not None else ""


def _price_app_runner_service(
    service: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices, measures: Measures
) -> MonthlyCost:
    """Return the cost: memory is billed for every provisioned instance, vCPU only for those that handle requests."""
    if service.spec.get("power") in OFF:
        return MonthlyCost(0.0, 0.0, "paused: nothing is billed")
    autoscaling = resources_by_address.get(f"apprunner_autoscaling.{service.name}")
    scaling_spec = autoscaling.spec if autoscaling else {"min_size": 1, "max_size": 1}
    count = int(scaling_spec["min_size"])
    cpu, memory = parse_units(service.spec["cpu"]) / 1024, parse_units(service.spec["memory"]) / 1024
    memory_cost = memory * prices.usd("app-runner.gb-hour", "App Runner memory") * HOURS_PER_MONTH
    cpu_cost = cpu * prices.usd("app-runner.vcpu-hour", "App Runner vCPUs") * HOURS_PER_MONTH
    idle = count * memory_cost

    def by_load(share_of_day: float, instances: float) -> float:
        extra_instances = max(0.0, instances - count)
        return idle + share_of_day * (instances * cpu_cost + extra_instances * memory_cost)

    return MonthlyCost(
        idle,
        idle + count * cpu_cost,
        f"{count} x {cpu:g} vCPU, {memory:g} GB: memory billed all day, vCPU while active; up to "
        f"{scaling_spec['max_size']} under load",
        _by_load(measures, by_load, count, int(scaling_spec["max_size"])),
    )


def _by_load(
    measures: Measures, cost_of: Callable[[float, float], float], minimum: int, maximum: int
) -> Amounts | None:
    """Return the cost by level from the active hours and instances of a service, None if it declares neither.

    ``cost_of`` takes the active share of the day and the average number of active instances.
    """
    if not measures.keys() & {"activeHoursPerDay", "instances"}:
        return None
    hours = measures.get("activeHoursPerDay", (24.0, 24.0, 24.0))
    instances = measures.get("instances", (float(minimum),) * 3)
    low, expected, high = (
        cost_of(daily / 24, min(count, float(maximum))) for daily, count in zip(hours, instances, strict=True)
    )
    return low, expected, high


def _price_express_service(
    service: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices, measures: Measures
) -> MonthlyCost:
    """Return the cost: tasks are billed while they run, even when idle, and each public task has a billed address."""
    scaling_spec = service.spec["scaling"]
    count = int(scaling_spec["min"])
    cpu, memory = service.spec["cpu"] / 1024, service.spec["memory"] / 1024
    address = prices.usd("public-ipv4.hour", "public IPv4 addresses") if is_internet_facing(service) else 0.0
    vcpu_hour = prices.usd("fargate.vcpu-hour", "Fargate vCPUs")
    gb_hour = prices.usd("fargate.gb-hour", "Fargate memory")
    task_cost = (cpu * vcpu_hour + memory * gb_hour + address) * HOURS_PER_MONTH
    cost = count * task_cost
    return MonthlyCost(
        cost,
        cost,
        f"{count} x {cpu:g} vCPU, {memory:g} GB on Fargate, all day; up to {scaling_spec['max']} under load",
        _by_load(
            measures,
            lambda share_of_day, tasks: cost + share_of_day * max(0.0, tasks - count) * task_cost,
            count,
            int(scaling_spec["max"]),
        ),
    )


def is_internet_facing(service: Resource) -> bool:
    """Return whether an Express service faces the internet."""
    subnets = service.spec["subnets"]
    return not isinstance(subnets, Ref) or subnets.output == "public_subnets"


def _price_database(
    database: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices, measures: Measures
) -> MonthlyCost:
    """Return the cost of instance, storage and extended support; backups up to the size of the storage are free."""
    spec = database.spec
    instance_class, zones = spec["instance_class"], 2 if spec.get("multi_az") else 1
    if spec.get("power") in OFF:
        storage = zones * _storage(spec, prices)
        return MonthlyCost(storage, storage, f"stopped: {spec['storage_gb']} GB {spec['storage_type']} only")
    item = f"rds.instance.{instance_class}"
    instance = prices.usd(item, f"instance class {instance_class}") * HOURS_PER_MONTH
    support, support_note = _extended_support(database, prices)
    cost = zones * (instance + _storage(spec, prices) + support)
    availability = "two zones" if zones == 2 else "one zone"
    details = [
        f"{instance_class}, {spec['storage_gb']} GB {spec['storage_type']}, {availability}",
        *filter(None, [support_note, prices.note(item)]),
    ]
    return MonthlyCost(cost, cost, "; ".join(details))


def _storage(spec: Mapping[str, object], prices: RegionPrices) -> float:
    """Return the monthly cost of the storage in one zone, with what is provisioned beyond its baseline."""
    storage_type, size = str(spec["storage_type"]), float(str(spec["storage_gb"]))
    cost = size * prices.usd(f"rds.storage.{storage_type}", f"storage type {storage_type}")
    included_iops, included_throughput = _GP3_BASELINE[size >= _GP3_STRIPED_GB] if storage_type == "gp3" else (0, 0)
    for measure, included in (("iops", included_iops), ("throughput", included_throughput)):
        provisioned = int(str(spec.get(measure) or 0))
        if storage_type in {"gp3", "io1", "io2"} and provisioned > included:
            unit_price = prices.usd(f"rds.{measure}.{storage_type}", f"{measure} of {storage_type}")
            cost += (provisioned - included) * unit_price
    return cost


def _extended_support(database: Resource, prices: RegionPrices) -> tuple[float, str]:
    """Return the monthly charge of one zone for a version after its standard support, and a note."""
    spec = database.spec
    major = str(spec.get("version", "")).partition(".")[0]
    period = extended_support_period(major, prices.on) if prices.on is not None else None
    if period is None or spec.get("lifecycle_support") != _EXTENDED_SUPPORT:
        return 0.0, ""
    size = str(spec["instance_class"]).rpartition(".")[2]
    if size not in _VCPUS:
        prices.add_missing(f"RDS Extended Support of {spec['instance_class']}")
        return 0.0, ""
    hourly = prices.usd(f"rds.extended-support.{period}", f"RDS Extended Support for PostgreSQL {major}")
    return hourly * _VCPUS[size] * HOURS_PER_MONTH, f"RDS Extended Support for PostgreSQL {major}"


def _price_secret(
    secret: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices, measures: Measures
) -> MonthlyCost:
    cost = prices.usd("secret.month", "a secret")
    return MonthlyCost(cost, cost, "one secret, few calls")


def _price_bucket(
    bucket: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices, measures: Measures
) -> MonthlyCost:
    gb_month = prices.usd("s3.gb-month", "S3 storage")
    if "storageGb" not in measures:
        cost = ASSUMED_BUCKET_GB * gb_month
        return MonthlyCost(cost, cost, f"{ASSUMED_BUCKET_GB} GB, few requests")
    low, expected, high = measures["storageGb"]
    return MonthlyCost(
        expected * gb_month,
        expected * gb_month,
        f"{expected:g} GB expected ({low:g} to {high:g}), few requests",
        (low * gb_month, expected * gb_month, high * gb_month),
    )


def _price_repository(
    repository: Resource, resources_by_address: ResourcesByAddress, prices: RegionPrices, measures: Measures
) -> MonthlyCost:
    cost = ASSUMED_REPOSITORY_GB * prices.usd("ecr.gb-month", "ECR storage")
    return MonthlyCost(cost, cost, f"{ASSUMED_REPOSITORY_GB} GB of images")


def migration_hour(task: Mapping[str, object], prices: RegionPrices) -> float:
    """Return what a migration's Fargate task costs an hour in USD.  Raises NoPriceError if the list has no price."""
    cpu, memory = float(str(task["cpu"])) / 1024, float(str(task["memory"])) / 1024
    address = prices.usd("public-ipv4.hour", "public IPv4 addresses") if task["public_subnets"] else 0.0
    compute = cpu * prices.usd("fargate.vcpu-hour", "Fargate vCPUs")
    return compute + memory * prices.usd("fargate.gb-hour", "Fargate memory") + address


PRICING_FUNCTIONS: Mapping[str, Callable[[Resource, ResourcesByAddress, RegionPrices, Measures], MonthlyCost]] = {
    "apprunner_service": _price_app_runner_service,
    "ecr_repository": _price_repository,
    "ecs_express_service": _price_express_service,
    "rds_instance": _price_database,
    "s3_bucket": _price_bucket,
    "secretsmanager_secret": _price_secret,
}
