"""Look up the VPC of an environment: an existing network that is shared and not managed here.

API: EC2 DescribeVpcs, DescribeSubnets, DescribeRouteTables, and CreateDefaultVpc if the default VPC was deleted. The
VPC reports the environment as its owner, so that no guard blocks it; it is never changed or deleted.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.problems import Problems
from orchestrator.quantities import format_count
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
"""RDS requires subnets in two zones, even for a single-zone database, and so does a load balancer."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with subnets sorted."""
    return {**spec, "subnets": sorted(spec["subnets"])} if "subnets" in spec else spec


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the VPC with its subnets and route tables, or None. The VPC endpoint shares the cached listings."""
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
        {"nat_gateways": list_nat_gateways(route_table_list)},
        owner=scope.owner,
        health=Health.HEALTHY if zone_count >= MIN_ZONES else Health.FAILED,
        status=vpc["VpcId"]
        if zone_count >= MIN_ZONES
        else f"{vpc['VpcId']} has subnets in {format_count(zone_count, 'Availability Zone')}",
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the default VPC.

    Raises Problems during planning if the spec names another VPC, because only the default one can be created.
    """
    if spec["vpc"] != DEFAULT_VPC:
        message = f"VPC {spec['vpc']} does not exist in {scope.region}"
        hint = "correct `network.vpc` in the Project, or omit it to use the default VPC"
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
        "subnets": (yield Compute("one subnet per zone", select_subnet_per_zone, (subnets, spec.get("subnets")))),
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
    """Raise Problems during planning: a VPC cannot be changed from here."""
    missing_subnets = sorted(set(spec.get("subnets", ())) - set(live.spec.get("subnets", ())))
    message = f"VPC {live.outputs['id']} has no subnet {', '.join(missing_subnets)}"
    raise Problems.from_message(message, hint="correct `network.subnets` in the Project, or omit it")


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Do nothing: the VPC is kept."""
    yield from ()
    return {}


def stuck(live: LiveResource) -> str:
    """Return what to change if the VPC covers too few zones."""
    return f"{live.status}; a database needs two. Add a subnet in another zone, or set another VPC in the Project."


def select_subnet_per_zone(response: Any, subnet_ids: list[str] | None) -> list[str]:
    """Return one subnet id per zone, sorted by zone: one of ``subnet_ids``, or else the zone's default or lowest id."""
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
    """Return two public subnets, or two private ones if ``is_public_kind`` is False, in different zones.

    No more than two: anything that faces the internet pays for one public address per subnet.
    """
    subnets = [
        subnet
        for subnet in subnet_response["Subnets"]
        if has_internet_route(subnet, route_table_response["RouteTables"]) is is_public_kind
    ]
    return select_subnet_per_zone({"Subnets": subnets}, subnet_ids)[:MIN_ZONES]


def has_internet_route(subnet: Any, tables: list[Any]) -> bool:
    """Return whether a subnet routes to an internet gateway.

    A subnet without its own route table uses the VPC's main one.
    """
    associated = [table for table in tables if _has_association(table, "SubnetId", subnet["SubnetId"])]
    effective_tables = associated or [table for table in tables if _has_association(table, "Main", True)]
    gateways = (str(route.get("GatewayId", "")) for table in effective_tables for route in table.get("Routes", ()))
    return any(gateway.startswith("igw-") for gateway in gateways)


def _has_association(table: Any, member: str, value: Any) -> bool:
    return any(association.get(member) == value for association in table.get("Associations", ()))


def list_nat_gateways(tables: list[Any]) -> list[str]:
    """Return the ids of the NAT gateways that route tables lead to, sorted."""
    routes = (route for table in tables for route in table.get("Routes", ()))
    return sorted({route["NatGatewayId"] for route in routes if route.get("NatGatewayId")})


def list_route_table_ids(response: Any) -> list[str]:
    """Return the route table ids, sorted."""
    return sorted(table["RouteTableId"] for table in response["RouteTables"])


def _vpc_filters(vpc_reference: Value) -> list[dict[str, Any]]:
    return (
        _build_filters("is-default", "true")
        if vpc_reference == DEFAULT_VPC
        else _build_filters("vpc-id", vpc_reference)
    )


def _build_filters(name: str, value: Value) -> list[dict[str, Any]]:
    return [{"Name": name, "Values": [value]}]
