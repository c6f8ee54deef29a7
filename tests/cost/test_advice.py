"""Advice on what costs less for the same: only what is equal, and only if it is cheaper."""

from __future__ import annotations

from typing import Any

import pytest
from msgspec.structs import replace

from orchestrator.cost import advice, price_list
from orchestrator.cost.advice import ARM_FAMILIES
from orchestrator.cost.price_list import Price, PriceList
from orchestrator.problems import Position
from orchestrator.resources import ec2_vpc
from orchestrator.values import WriteOnly
from orchestrator.vocabulary import LiveResource, Resource, Scope

IRELAND = "eu-west-1"

MEMORY_OF_LARGE = {
    "t3": 8, "t4g": 8, "m5": 8, "m6g": 8, "m6i": 8, "m7i": 8, "m7g": 8, "r5": 16, "r6g": 16, "r6i": 16, "m4": 8,
}  # fmt: skip
"""GiB of db.FAMILY.large, each with 2 vCPUs: RDS user guide, "Hardware specifications for DB instance classes"."""


def database(instance_class: str, storage_type: str = "gp3", **spec: Any) -> Resource:
    values = {"instance_class": instance_class, "storage_type": storage_type, "storage_gb": 100, **spec}
    return Resource("rds_instance", "main", "main", values, "database.main", Position("x.yaml"))


def test_the_equal_class_is_named_with_its_saving() -> None:
    [sentence] = advice.advise([database("db.t3.micro")], IRELAND)

    assert "`instanceClass: db.t4g.micro`" in sentence
    assert "2.19 USD a month less" in sentence  # 0.020 - 0.017 USD an hour, as billed
    [both_zones] = advice.advise([database("db.t3.micro", multi_az=True)], IRELAND)
    assert "4.38 USD a month less" in both_zones


@pytest.mark.parametrize("family", sorted(ARM_FAMILIES))
def test_equal_families_have_the_same_memory(family: str) -> None:
    assert MEMORY_OF_LARGE[family] == MEMORY_OF_LARGE[ARM_FAMILIES[family]]


@pytest.mark.parametrize("instance_class", ["db.t4g.micro", "db.m7g.large", "db.r9.huge", "odd"])
def test_nothing_is_advised_without_a_lower_price(instance_class: str) -> None:
    assert list(advice.advise([database(instance_class)], IRELAND)) == []


def test_a_hibernated_database_needs_no_advice() -> None:
    assert list(advice.advise([database("db.t3.micro", power="hibernated")], IRELAND)) == []


def test_storage_is_advised_where_it_is_cheaper() -> None:
    rows = {
        "rds.storage.gp2": Price(0.133, "a list", "2026-11-01"),
        "rds.storage.gp3": Price(0.127, "a list", "2026-11-01"),
    }
    cheaper = PriceList({IRELAND: rows})

    assert list(advice.advise([database("db.t4g.micro", "gp2")], IRELAND, prices=price_list.load_shipped())) == []
    [sentence] = advice.advise([database("db.t4g.micro", "gp2")], IRELAND, prices=cheaper)
    assert "0.60 USD a month less" in sentence


class _Network:
    """Answers as EC2 does; the route is as DescribeRouteTables shows a NAT gateway (EC2 API reference, Route)."""

    def all(self, service: str, operation: str, *_: object, **__: object) -> list[dict[str, Any]]:
        route = {"DestinationCidrBlock": "0.0.0.0/0", "NatGatewayId": "nat-0a1", "State": "active"}
        answers: dict[str, list[dict[str, Any]]] = {
            "describe_vpcs": [{"VpcId": "vpc-1", "CidrBlock": "10.0.0.0/16"}],
            "describe_subnets": [],
            "describe_route_tables": [{"RouteTableId": "rtb-1", "Routes": [route, {"GatewayId": "local"}]}],
        }
        return answers[operation]


def test_a_gateway_that_the_stack_does_not_need_is_named() -> None:
    network = ec2_vpc.read(_Network(), Scope("shop", "prod", "1", IRELAND), "default", {})  # type: ignore[arg-type]
    assert network is not None

    [sentence] = advice.advise([], IRELAND, {"ec2_vpc.network": network})

    assert "nat-0a1, which the estimate does not include (a charge of 35.04 USD a month each," in sentence
    assert list(advice.advise([], IRELAND, {"ec2_vpc.network": LiveResource({})})) == []


@pytest.mark.parametrize(
    ("region", "subnets", "price"),
    [
        (IRELAND, ["subnet-a"], 0.25 * 0.04048 + 0.5 * 0.004445 + 0.005),
        (IRELAND, [], 0.25 * 0.04048 + 0.5 * 0.004445),
        ("mars-1", [], None),
    ],
)
def test_a_migration_in_the_vpc_is_priced_by_its_task(region: str, subnets: list[str], price: float | None) -> None:
    """Fargate's hourly prices of Ireland (AWS Fargate pricing page), and a public address where it has one."""
    task = {"cpu": "256", "memory": "512", "public_subnets": subnets, "log_group": "/ecs/shop-prod-api"}
    spec = {"build": "tag1", "how": WriteOnly({"task": task})}
    migration = Resource("migration", "api", "x", spec, "containerservice.api", Position("x.yaml"))
    on_runner = replace(migration, spec={"build": "tag1", "how": WriteOnly({})})

    [sentence] = advice.describe_migrations([migration, on_runner, database("db.t3.micro")], region)

    expected = "no prices for mars-1" if price is None else f"about {price / 6:.4f} USD for ten minutes"
    assert expected in sentence
    assert "one Fargate task of 0.25 vCPU and 0.5 GB" in sentence
