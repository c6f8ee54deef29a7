"""The network an environment lives in: a VPC that is there already, shared with others and never ours.

API: EC2 DescribeVpcs, DescribeSubnets, DescribeRouteTables, and CreateDefaultVpc where the default VPC was deleted.
It reports itself as the asker's own, so that no guard stops at it, and it is never changed or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, Compute, Steps, Wait, call
from orchestrator.values import Value
from orchestrator.vocabulary import Health, LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

DEFAULT_VPC = "default"
MIN_ZONES = 2
"""RDS wants subnets in at least two zones, also for a database that lives in one; a load balancer, too."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Subnets have no order."""
    return {**spec, "subnets": sorted(spec["subnets"])} if "subnets" in spec else spec


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Three listings; the endpoint makes the same ones, so they cost nothing twice."""
    vpc_reference = spec.get("vpc", DEFAULT_VPC)
    vpcs = aws.all("ec2", "describe_vpcs", "Vpcs", Filters=_vpc_filters(vpc_reference))
    if not vpcs:
        return None
    vpc = vpcs[0]
    vpc_id_filters = _build_filters("vpc-id", vpc["VpcId"])
    subnets = aws.all("ec2", "describe_subnets", "Subnets", Filters=vpc_id_filters)
    route_table_list = aws.all("ec2", "describe_route_tables", "RouteTables", Filters=vpc_id_filters)
    outputs = {
        "id": vpc["VpcId"],
        "cidr": vpc["CidrBlock"],
        "subnets": select_subnet_per_zone({"Subnets": subnets}, spec.get("subnets")),
        "public_subnets": select_two_subnets(
            {"Subnets": subnets}, {"RouteTables": route_table_list}, spec.get("subnets"), True
        ),
        "private_subnets": select_two_subnets(
            {"Subnets": subnets}, {"RouteTables": route_table_list}, spec.get("subnets"), False
        ),
        "route_tables": list_route_table_ids({"RouteTables": route_table_list}),
    }
    live_spec: dict[str, Value] = {"vpc": vpc_reference}
    if "subnets" in spec:
        live_spec["subnets"] = sorted(item["SubnetId"] for item in subnets if item["SubnetId"] in spec["subnets"])
    zone_count = len(outputs["subnets"])
    return LiveResource(
        live_spec,
        outputs,
        owner=scope.owner,
        health=Health.HEALTHY if zone_count >= MIN_ZONES else Health.FAILED,
        status=vpc["VpcId"]
        if zone_count >= MIN_ZONES
        else f"{vpc['VpcId']} has subnets in {zone_count} availability zone(s)",
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Only the default VPC can be made (again); Problems for any other, while planning."""
    if spec["vpc"] != DEFAULT_VPC:
        message = f"there is no VPC {spec['vpc']} in {scope.region}"
        hint = "correct `network.vpc` in the Project, or leave it out for the default VPC"
        raise Problems.from_message(message, hint=hint)
    yield ApiCall("ec2", "create_default_vpc", {}, ok_codes=("DefaultVpcAlreadyExists",))
    listing = call("ec2", "describe_vpcs", Filters=_vpc_filters(DEFAULT_VPC))
    response = yield Wait(listing, "Vpcs[0].State", target_values=("available",), timeout_seconds=120)
    vpc = response["Vpcs"][0]
    vpc_id_filters = _build_filters("vpc-id", vpc["VpcId"])
    subnets = yield call("ec2", "describe_subnets", Filters=vpc_id_filters)
    route_table_response = yield call("ec2", "describe_route_tables", Filters=vpc_id_filters)
    return {
        "id": vpc["VpcId"],
        "cidr": vpc["CidrBlock"],
        "subnets": (yield Compute("one subnet a zone", select_subnet_per_zone, (subnets, spec.get("subnets")))),
        "public_subnets": (
            yield Compute(
                "public subnets", select_two_subnets, (subnets, route_table_response, spec.get("subnets"), True)
            )
        ),
        "private_subnets": (
            yield Compute(
                "private subnets", select_two_subnets, (subnets, route_table_response, spec.get("subnets"), False)
            )
        ),
        "route_tables": (yield Compute("route tables", list_route_table_ids, (route_table_response,))),
    }


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Nothing of it can be changed from here: Problems, while planning."""
    missing_subnets = sorted(set(spec.get("subnets", ())) - set(live.spec.get("subnets", ())))
    message = f"the VPC {live.outputs['id']} has no subnet {', '.join(missing_subnets)}"
    raise Problems.from_message(message, hint="correct `network.subnets` in the Project, or leave it out")


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """It stays."""
    yield from ()
    return {}


def stuck(live: LiveResource) -> str:
    """What a VPC in too few zones needs."""
    return f"{live.status}; a database needs two. Add a subnet in another zone, or name another VPC in the Project."


def select_subnet_per_zone(response: Any, subnet_ids: list[str] | None) -> list[str]:
    """Subnet ids in the order of their zones: the ``wanted`` ones, or else the default (or lowest) of each zone."""
    chosen: dict[str, tuple[bool, str]] = {}
    for subnet in response["Subnets"]:
        rank = (not subnet.get("DefaultForAz", False), subnet["SubnetId"])
        if subnet_ids is None or subnet["SubnetId"] in subnet_ids:
            zone = subnet["AvailabilityZone"]
            chosen[zone] = min(chosen.get(zone, rank), rank)
    return [chosen[zone][1] for zone in sorted(chosen)]


def select_two_subnets(
    subnet_response: Any, route_table_response: Any, subnet_ids: list[str] | None, is_public_kind: bool
) -> list[str]:
    """Two of the subnets that ``one_a_zone`` finds among the public ones, or among the others.

    No more than two: in each, what faces the internet has an address of its own to pay for.
    """
    subnets = [
        subnet
        for subnet in subnet_response["Subnets"]
        if has_internet_route(subnet, route_table_response["RouteTables"]) is is_public_kind
    ]
    return select_subnet_per_zone({"Subnets": subnets}, subnet_ids)[:MIN_ZONES]


def has_internet_route(subnet: Any, tables: list[Any]) -> bool:
    """Whether its way out leads to an internet gateway; a subnet that no table names goes by its VPC's main one."""
    associated = [table for table in tables if _has_association(table, "SubnetId", subnet["SubnetId"])]
    effective_tables = associated or [table for table in tables if _has_association(table, "Main", True)]
    gateways = (str(route.get("GatewayId", "")) for table in effective_tables for route in table.get("Routes", ()))
    return any(gateway.startswith("igw-") for gateway in gateways)


def _has_association(table: Any, member: str, value: Any) -> bool:
    return any(association.get(member) == value for association in table.get("Associations", ()))


def list_route_table_ids(response: Any) -> list[str]:
    """Route table ids, sorted."""
    return sorted(table["RouteTableId"] for table in response["RouteTables"])


def _vpc_filters(vpc_reference: Value) -> list[dict[str, Any]]:
    return (
        _build_filters("is-default", "true")
        if vpc_reference == DEFAULT_VPC
        else _build_filters("vpc-id", vpc_reference)
    )


def _build_filters(name: str, value: Value) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]}]
