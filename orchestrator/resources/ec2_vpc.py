"""The network an environment lives in: a VPC that is there already, shared with others and never ours.

API: EC2 DescribeVpcs, DescribeSubnets, DescribeRouteTables, and CreateDefaultVpc where the default VPC was deleted.
It reports itself as the asker's own, so that no guard stops at it, and it is never changed or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.problems import Problems
from orchestrator.resources import Aws
from orchestrator.steps import Call, Compute, Steps, Wait, call
from orchestrator.values import Value
from orchestrator.vocabulary import Health, Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

DEFAULT = "default"
ZONES_NEEDED = 2
"""RDS wants subnets in at least two zones, also for a database that lives in one; a load balancer, too."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Subnets have no order."""
    return {**spec, "subnets": sorted(spec["subnets"])} if "subnets" in spec else spec


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """Three listings; the endpoint makes the same ones, so they cost nothing twice."""
    wanted = spec.get("vpc", DEFAULT)
    vpcs = aws.all("ec2", "describe_vpcs", "Vpcs", Filters=_which(wanted))
    if not vpcs:
        return None
    vpc = vpcs[0]
    inside = _filter("vpc-id", vpc["VpcId"])
    subnets = aws.all("ec2", "describe_subnets", "Subnets", Filters=inside)
    tables = aws.all("ec2", "describe_route_tables", "RouteTables", Filters=inside)
    outputs = {
        "id": vpc["VpcId"],
        "cidr": vpc["CidrBlock"],
        "subnets": one_a_zone({"Subnets": subnets}, spec.get("subnets")),
        "public_subnets": in_two_zones({"Subnets": subnets}, {"RouteTables": tables}, spec.get("subnets"), True),
        "private_subnets": in_two_zones({"Subnets": subnets}, {"RouteTables": tables}, spec.get("subnets"), False),
        "route_tables": route_tables({"RouteTables": tables}),
    }
    found: dict[str, Value] = {"vpc": wanted}
    if "subnets" in spec:
        found["subnets"] = sorted(item["SubnetId"] for item in subnets if item["SubnetId"] in spec["subnets"])
    zones = len(outputs["subnets"])
    return Live(
        found,
        outputs,
        owner=scope.owner,
        health=Health.HEALTHY if zones >= ZONES_NEEDED else Health.FAILED,
        status=vpc["VpcId"] if zones >= ZONES_NEEDED else f"{vpc['VpcId']} has subnets in {zones} availability zone(s)",
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Only the default VPC can be made (again); Problems for any other, while planning."""
    if spec["vpc"] != DEFAULT:
        message = f"there is no VPC {spec['vpc']} in {scope.region}"
        hint = "correct `network.vpc` in the Project, or leave it out for the default VPC"
        raise Problems.one(message, hint=hint)
    yield Call("ec2", "create_default_vpc", {}, ok=("DefaultVpcAlreadyExists",))
    listing = call("ec2", "describe_vpcs", Filters=_which(DEFAULT))
    answer = yield Wait(listing, "Vpcs[0].State", until=("available",), patience=120)
    vpc = answer["Vpcs"][0]
    inside = _filter("vpc-id", vpc["VpcId"])
    subnets = yield call("ec2", "describe_subnets", Filters=inside)
    tables = yield call("ec2", "describe_route_tables", Filters=inside)
    return {
        "id": vpc["VpcId"],
        "cidr": vpc["CidrBlock"],
        "subnets": (yield Compute("one subnet a zone", one_a_zone, (subnets, spec.get("subnets")))),
        "public_subnets": (yield Compute("public subnets", in_two_zones, (subnets, tables, spec.get("subnets"), True))),
        "private_subnets": (
            yield Compute("private subnets", in_two_zones, (subnets, tables, spec.get("subnets"), False))
        ),
        "route_tables": (yield Compute("route tables", route_tables, (tables,))),
    }


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Nothing of it can be changed from here: Problems, while planning."""
    lost = sorted(set(spec.get("subnets", ())) - set(live.spec.get("subnets", ())))
    message = f"the VPC {live.outputs['id']} has no subnet {', '.join(lost)}"
    raise Problems.one(message, hint="correct `network.subnets` in the Project, or leave it out")


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """It stays."""
    yield from ()
    return {}


def stuck(live: Live) -> str:
    """What a VPC in too few zones needs."""
    return f"{live.status}; a database needs two. Add a subnet in another zone, or name another VPC in the Project."


def one_a_zone(answer: Any, wanted: list[str] | None) -> list[str]:
    """Subnet ids in the order of their zones: the ``wanted`` ones, or else the default (or lowest) of each zone."""
    chosen: dict[str, tuple[bool, str]] = {}
    for subnet in answer["Subnets"]:
        rank = (not subnet.get("DefaultForAz", False), subnet["SubnetId"])
        if wanted is None or subnet["SubnetId"] in wanted:
            zone = subnet["AvailabilityZone"]
            chosen[zone] = min(chosen.get(zone, rank), rank)
    return [chosen[zone][1] for zone in sorted(chosen)]


def in_two_zones(answer: Any, tables: Any, wanted: list[str] | None, public: bool) -> list[str]:
    """Two of the subnets that ``one_a_zone`` finds among the public ones, or among the others.

    No more than two: in each, what faces the internet has an address of its own to pay for.
    """
    kind = [subnet for subnet in answer["Subnets"] if is_public(subnet, tables["RouteTables"]) is public]
    return one_a_zone({"Subnets": kind}, wanted)[:ZONES_NEEDED]


def is_public(subnet: Any, tables: list[Any]) -> bool:
    """Whether its way out leads to an internet gateway; a subnet that no table names goes by its VPC's main one."""
    named = [table for table in tables if _names(table, "SubnetId", subnet["SubnetId"])]
    ways = named or [table for table in tables if _names(table, "Main", True)]
    gateways = (str(route.get("GatewayId", "")) for table in ways for route in table.get("Routes", ()))
    return any(gateway.startswith("igw-") for gateway in gateways)


def _names(table: Any, member: str, value: Any) -> bool:
    return any(one.get(member) == value for one in table.get("Associations", ()))


def route_tables(answer: Any) -> list[str]:
    """Route table ids, sorted."""
    return sorted(table["RouteTableId"] for table in answer["RouteTables"])


def _which(wanted: Value) -> list[dict[str, Any]]:
    return _filter("is-default", "true") if wanted == DEFAULT else _filter("vpc-id", wanted)


def _filter(name: str, value: Value) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]}]
