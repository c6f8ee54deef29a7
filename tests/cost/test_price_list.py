"""The shipped prices: complete for the sizes that small teams use, sourced, and never cheaper for more."""

from __future__ import annotations

from datetime import date
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator import cost
from orchestrator.cost import price_list
from orchestrator.cost.price_list import NORMALIZATION_UNITS, Price, PriceList
from orchestrator.problems import Problems
from orchestrator.values import Ref
from orchestrator.vocabulary import Resource
from tests.cost.priced_stacks import WANTED_REGIONS, database, find_unpriced, make

SHIPPED = price_list.load_shipped()
REGIONS = sorted(SHIPPED.regions)
FAMILIES = sorted(
    {
        (region, item.removeprefix("rds.instance.").rpartition(".")[0])
        for region, items in SHIPPED.regions.items()
        for item in items
        if item.startswith("rds.instance.")
    }
)
SIZES = sorted(NORMALIZATION_UNITS, key=lambda size: NORMALIZATION_UNITS[size])


def price(resource: Resource, region: str) -> float:
    estimate = cost.estimate([resource], region)
    assert estimate.unpriced == ()
    return estimate.idle


def test_every_price_names_its_source_and_its_day() -> None:
    rows = [row for items in SHIPPED.regions.values() for row in items.values()]

    assert len(rows) >= 330
    assert all(row.usd > 0 and row.source for row in rows)
    assert all(date(2025, 1, 1) <= date.fromisoformat(row.as_of) <= date(2026, 11, 30) for row in rows)


@pytest.mark.parametrize(
    ("region", "item", "usd"),
    [
        ("eu-central-1", "rds.instance.db.t3.micro", 0.021),  # AWS Price List, SKU VJNEKAFRR6K9PXWQ
        ("us-east-1", "rds.instance.db.t3.micro", 0.018),  # AWS Price List, SKU TGN7QDJF2AGFU9XA
        ("us-east-1", "rds.instance.db.t3.large", 0.145),  # infracost: 105.85 USD for 730 hours
        ("us-east-1", "load-balancer.hour", 0.0225),  # AWS Price List, SKU 37CUWUT8GSNQEPUV
        ("eu-west-1", "rds.instance.db.t4g.small", 0.035),  # as billed
        ("eu-west-3", "rds.instance.db.t4g.micro", 0.018),  # offer file of AmazonRDS, published 2026-10-06
        ("eu-west-3", "load-balancer.hour", 0.02646),  # offer file of AWSELB, published 2026-09-11
        ("us-west-2", "rds.instance.db.t4g.small", 0.032),  # Price List API, read 2026-06-01
        ("us-east-1", "rds.instance.db.m6g.2xlarge", 0.636),  # offer file of AmazonRDS, read 2026-07-28
        ("us-east-1", "rds.instance.db.r6g.xlarge", 0.45),  # offer file of AmazonRDS, read 2026-07-28
        ("us-east-1", "rds.instance.db.r7g.2xlarge", 0.956),  # offer file of AmazonRDS, read 2026-07-28
        ("us-east-2", "rds.instance.db.m5.large", 0.178),  # savings plan of Oct 2026, two zones: 80 % of 0.356
        ("us-east-1", "rds.instance.db.m7g.2xlarge", 0.672),  # two other readers: 0.674 and 0.672
        ("us-east-1", "rds.storage.io1", 0.125),  # infracost's tests of the offer file
        ("eu-west-1", "rds.instance.db.m5.large", 0.197),  # ec2instances.info, 2021-03-30
        ("eu-central-1", "rds.instance.db.r6g.large", 0.274),  # ec2instances.info, 2021-03-30
        ("us-west-2", "logs.gb", 0.5),  # as billed in February 2026
        ("eu-west-1", "rds.extended-support.year-1", 0.112),  # as billed in May 2026
        ("eu-central-1", "fargate.vcpu-hour", 0.04656),  # offer file of AmazonECS, effective 2026-07-07
    ],
)
def test_prices_are_those_that_others_read(region: str, item: str, usd: float) -> None:
    found = SHIPPED.find(region, item)

    assert found is not None
    assert found.usd == usd


@pytest.mark.parametrize("region", sorted(set(SHIPPED.regions) - {"eu-south-2"}))
def test_traffic_out_costs_what_two_readers_of_the_price_list_found(region: str) -> None:
    """infracost's golden file of aws_data_transfer: 921.60 USD for the first 10,240 GB; AWS's file for Paris: 0.09.

    Neither has Spain.
    """
    found = SHIPPED.find(region, "transfer-out.gb")

    assert found is not None
    assert found.usd == 921.60 / 10_240
    assert ("AWSDataTransfer" if region == "eu-west-3" else "aws_data_transfer") in found.source


def test_every_region_that_is_wanted_has_prices() -> None:
    assert set(WANTED_REGIONS) == set(SHIPPED.regions)


def test_a_size_is_scaled_from_its_family_and_says_so() -> None:
    """A db.t3.large in us-east-1 is listed at 0.145, and 8 times the micro's 0.018 is 0.144."""
    only_micro = PriceList({"us-east-1": {"rds.instance.db.t3.micro": Price(0.018, "a list", "2026-08-10")}})
    scaled = only_micro.find("us-east-1", "rds.instance.db.t3.large")

    assert scaled is not None
    assert scaled.usd == pytest.approx(0.145, rel=0.01)
    assert scaled.note == "scaled from db.t3.micro"
    [line] = cost.estimate([database("db.m7g.xlarge", storage_type="gp2")], "eu-west-1").line_items
    assert line.assumptions == "db.m7g.xlarge, 20 GB gp2, one zone; scaled from db.m7g.large"


def test_another_family_is_not_guessed() -> None:
    assert SHIPPED.find("eu-west-3", "rds.instance.db.r7g.large") is None


@pytest.mark.parametrize(("region", "family"), FAMILIES)
def test_a_larger_class_never_costs_less(region: str, family: str) -> None:
    """Over every size of every family and region that has a price."""
    prices = [SHIPPED.find(region, f"rds.instance.{family}.{size}") for size in SIZES]

    amounts = [found.usd for found in prices if found is not None]
    assert len(amounts) == len(SIZES)
    assert amounts == sorted(amounts)
    assert amounts[0] < amounts[-1]


PRICED_DATABASES = sorted(
    (region, family, item.removeprefix("rds.storage."))
    for region, family in FAMILIES
    for item in SHIPPED.regions[region]
    if item.startswith("rds.storage.")
)


@given(
    choice=st.sampled_from(PRICED_DATABASES),
    sizes=st.tuples(st.sampled_from(SIZES), st.sampled_from(SIZES)),
    storage=st.tuples(st.integers(20, 4000), st.integers(0, 4000)),
    zones=st.tuples(st.booleans(), st.booleans()),
)
def test_more_never_costs_less(
    choice: tuple[str, str, str], sizes: tuple[str, str], storage: tuple[int, int], zones: tuple[bool, bool]
) -> None:
    """Each of size, storage and zones alone and together, in every region, family and storage type with a price."""
    region, family, kind = choice
    small, large = sorted(sizes, key=SIZES.index)

    def cost_of(size: str, storage_gb: int, multi_az: bool) -> float:
        return price(database(f"db.{family.removeprefix('db.')}.{size}", storage_gb=storage_gb, multi_az=multi_az,
                              storage_type=kind), region)  # fmt: skip

    base = cost_of(small, storage[0], min(zones))
    alone = [
        cost_of(large, storage[0], min(zones)),
        cost_of(small, sum(storage), min(zones)),
        cost_of(small, storage[0], max(zones)),
    ]
    assert base <= min(alone)
    assert max(alone) <= cost_of(large, sum(storage), max(zones))


RUNTIME_REGIONS = [
    region
    for region in REGIONS
    if {"app-runner.gb-hour", "fargate.gb-hour", "load-balancer.hour"} <= set(SHIPPED.regions[region])
]


@given(count=st.integers(1, 10), more=st.integers(0, 10), region=st.sampled_from(RUNTIME_REGIONS))
def test_more_instances_never_cost_less(count: int, more: int, region: str) -> None:
    """On both runtimes, when idle and when active."""
    assert len(RUNTIME_REGIONS) >= 3

    def express(minimum: int) -> list[Resource]:
        scaling = {"min": minimum, "max": minimum}
        subnets = Ref("ec2_vpc.network", "public_subnets")
        return [make("ecs_express_service.api", cpu=256, memory=512, scaling=scaling, subnets=subnets)]

    def app_runner(minimum: int) -> list[Resource]:
        scaling = make("apprunner_autoscaling.api", min_size=minimum, max_size=minimum)
        return [make("apprunner_service.api", cpu=256, memory=512), scaling]

    for stack in (express, app_runner):
        fewer, larger = cost.estimate(stack(count), region), cost.estimate(stack(count + more), region)
        assert fewer.unpriced == larger.unpriced == ()
        assert (larger.idle >= fewer.idle, larger.active >= fewer.active) == (True, True)


UNPRICED = {
    "eu-central-1": {"app-runner", "extended support", "gp3 iops", "io1 iops", "io2 iops"},
    "eu-north-1": {"app-runner", "bucket", "ecs-express", "extended support", "gp3 iops", "io1 iops", "io2 iops",
                   "logs"},
    "eu-south-2": {"app-runner", "ecs-express", "extended support", "gp3 iops", "io1 iops", "io2 iops", "logs", "m6i",
                   "r6i", "traffic"},
    "eu-west-1": {"gp3 iops", "io1 iops", "io2 iops"},
    "eu-west-3": {"app-runner", "ecs-express", "extended support", "gp3 iops", "io1 iops", "io2 iops", "r7g"},
    "us-east-1": set[str](),
    "us-east-2": {"bucket", "extended support", "gp3 iops", "io1 iops", "io2 iops", "logs"},
    "us-west-2": {"extended support", "gp3 iops", "io1 iops", "io2 iops"},
}  # fmt: skip
"""What the shipped list does not price, by region.  Take a name out when its price is added; the rest comes from
`orchestrator prices refresh`.  docs/reference/prices.md is generated from the same list."""


@pytest.mark.parametrize("region", WANTED_REGIONS)
def test_everything_is_priced_or_named(region: str) -> None:
    """Nothing that costs money is left out in silence; what has no price is exactly what is listed above."""
    unpriced = find_unpriced(region)

    assert unpriced == UNPRICED[region]


def test_provisioned_iops_are_charged_beyond_what_gp3_includes() -> None:
    """infracost's golden file: 400 GB of gp3 with 14,000 IOPS in two zones: 92 USD of storage, 80 of IOPS."""
    plain = price(database("db.t4g.small", storage_gb=400, multi_az=True), "us-east-1")
    fast = price(database("db.t4g.small", storage_gb=400, multi_az=True, iops=14_000), "us-east-1")
    included = price(database("db.t4g.small", storage_gb=400, multi_az=True, iops=12_000), "us-east-1")

    assert fast - plain == pytest.approx(80)
    assert included == plain


@pytest.mark.parametrize(
    ("version", "on", "extra"),
    [
        ("11", date(2024, 3, 31), 0),
        ("11", date(2024, 4, 1), 146),  # infracost's golden file: 1,460 vCPU-hours, 146 USD
        ("11", date(2026, 3, 31), 146),
        ("11", date(2026, 4, 1), 292),  # the charge doubles in year 3
        ("16.4", date(2029, 2, 28), 0),
        ("16.4", date(2029, 3, 1), 146),
    ],
)
def test_extended_support_is_charged_from_its_day(version: str, on: date, extra: float) -> None:
    spec = {"instance_class": "db.t3.large", "storage_type": "gp2", "storage_gb": 20, "version": version}
    charged = make("rds_instance.main", **spec, lifecycle_support="open-source-rds-extended-support")
    declined = make("rds_instance.main", **spec, lifecycle_support="open-source-rds-extended-support-disabled")

    difference = cost.estimate([charged], "us-east-1", on=on).idle - cost.estimate([declined], "us-east-1", on=on).idle

    assert difference == pytest.approx(extra)


def test_prices_of_a_project_take_the_place_of_the_shipped_ones(tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    own = PriceList({"eu-west-1": {"secret.month": Price(0.5, "a list", "2026-11-30")}, "xx-west-1": {}})
    path.write_bytes(price_list.dump(own))

    merged = SHIPPED.updated_with(price_list.load_file(path))

    assert price_list.load_file(path) == own
    assert cost.estimate([make("secretsmanager_secret.app")], "eu-west-1", merged).idle == 0.5
    assert merged.find("eu-west-1", "ecr.gb-month") == SHIPPED.find("eu-west-1", "ecr.gb-month")


@pytest.mark.parametrize("content", [b"", b"{", b"[]", b'{"regions": {"eu-west-1": {"secret.month": 1}}}', b"\xff"])
def test_a_broken_price_file_is_named(content: bytes, tmp_path: Path) -> None:
    path = tmp_path / "prices.json"
    path.write_bytes(content)

    with pytest.raises(Problems, match="cannot read the price list") as caught:
        price_list.load_file(path)
    assert "prices.json" in str(caught.value.problems[0].where)


@pytest.mark.parametrize(("on", "is_old"), [(date(2027, 2, 20), False), (date(2027, 2, 21), True)])
def test_prices_older_than_ninety_days_are_reported(on: date, is_old: bool) -> None:
    estimate = cost.estimate([make("secretsmanager_secret.app")], "eu-west-1")

    assert estimate.as_of == "2026-11-22"
    assert any("prices refresh" in warning for warning in cost.list_warnings(estimate, on)) is is_old
