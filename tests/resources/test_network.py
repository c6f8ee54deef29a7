"""VPC, endpoint and security group as they are read: deterministic subnets, others' endpoints, rules as a set."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import pytest

from orchestrator.aws import Reader
from orchestrator.problems import Problems
from orchestrator.resources import ec2_security_group, ec2_vpc, ec2_vpc_endpoint
from orchestrator.steps import trace_steps
from orchestrator.vocabulary import Health
from tests.aws.fake_clients import ScriptedCaller
from tests.resources.cases import SCOPE

OURS = [{"Key": "orchestrator:project", "Value": "shop"}, {"Key": "orchestrator:environment", "Value": "prod"}]
VPC: dict[str, Any] = {"VpcId": "vpc-1", "CidrBlock": "172.31.0.0/16", "IsDefault": True}
SUBNETS: list[dict[str, Any]] = [
    {"SubnetId": "subnet-b2", "AvailabilityZone": "eu-west-1b"},
    {"SubnetId": "subnet-a1", "AvailabilityZone": "eu-west-1a"},
    {"SubnetId": "subnet-a2", "AvailabilityZone": "eu-west-1a", "DefaultForAz": True},
    {"SubnetId": "subnet-b1", "AvailabilityZone": "eu-west-1b"},
]
TABLES = [{"RouteTableId": "rtb-2"}, {"RouteTableId": "rtb-1"}]


def reader(**answers: Sequence[Mapping[str, Any]]) -> Reader:
    """An AWS whose every listing is given by the name of its member."""
    pages = {
        "describe_vpcs": "Vpcs",
        "describe_subnets": "Subnets",
        "describe_route_tables": "RouteTables",
        "describe_vpc_endpoints": "VpcEndpoints",
        "describe_security_groups": "SecurityGroups",
    }
    return Reader(ScriptedCaller(lambda _, operation, __: [{pages[operation]: answers.get(pages[operation], [])}]))


def test_the_network_has_one_subnet_a_zone_in_the_zones_order() -> None:
    """The zone's default one, or the lowest id: the same on every run."""
    live = ec2_vpc.read(reader(Vpcs=[VPC], Subnets=SUBNETS, RouteTables=TABLES), SCOPE, "default", {"vpc": "default"})

    assert live is not None
    assert live.outputs == {
        "id": "vpc-1",
        "cidr": "172.31.0.0/16",
        "subnets": ["subnet-a2", "subnet-b1"],
        "public_subnets": [],
        "private_subnets": ["subnet-a2", "subnet-b1"],
        "route_tables": ["rtb-1", "rtb-2"],
    }
    assert (live.owner, live.health) == ("shop/prod", Health.HEALTHY)


GATEWAY = [{"DestinationCidrBlock": "0.0.0.0/0", "GatewayId": "igw-1"}]
NAMED = [{"SubnetId": "subnet-b1"}, {"SubnetId": "subnet-c1"}]
THIRD = {"SubnetId": "subnet-c1", "AvailabilityZone": "eu-west-1c"}


@pytest.mark.parametrize(
    ("tables", "public", "private"),
    [
        ([{"Associations": [{"Main": True}], "Routes": GATEWAY}], ["subnet-a2", "subnet-b1"], []),
        ([{"Associations": [{"Main": True}]}, {"Associations": NAMED, "Routes": GATEWAY}], ["subnet-b1", "subnet-c1"],
         ["subnet-a2", "subnet-b2"]),
        ([{"Associations": [{"Main": True}], "Routes": GATEWAY}, {"Associations": NAMED}], ["subnet-a2", "subnet-b2"],
         ["subnet-b1", "subnet-c1"]),
    ],
    ids=["a default VPC", "two public ones", "two private ones"],
)  # fmt: skip
def test_public_is_what_a_gateway_leads_out_of(
    tables: list[dict[str, Any]], public: list[str], private: list[str]
) -> None:
    """By the table that names the subnet, else the main one; and never more than two of a kind, the first zones'."""
    tables = [{"RouteTableId": f"rtb-{number}", **table} for number, table in enumerate(tables)]
    aws = reader(Vpcs=[VPC], Subnets=[*SUBNETS, THIRD], RouteTables=tables)
    live = ec2_vpc.read(aws, SCOPE, "default", {"vpc": "default"})

    assert live is not None
    assert live.outputs["public_subnets"] == public
    assert live.outputs["private_subnets"] == private


def test_named_subnets_are_taken_instead() -> None:
    """Still in the order of their zones."""
    spec = {"vpc": "vpc-1", "subnets": ["subnet-b2", "subnet-a1"]}
    live = ec2_vpc.read(reader(Vpcs=[VPC], Subnets=SUBNETS, RouteTables=TABLES), SCOPE, "vpc-1", spec)

    assert live is not None
    assert live.outputs["subnets"] == ["subnet-a1", "subnet-b2"]
    assert live.spec == ec2_vpc.normalise(spec)


def test_a_network_in_one_zone_is_not_well() -> None:
    """RDS wants two, and a person has to see to it."""
    live = ec2_vpc.read(reader(Vpcs=[VPC], Subnets=SUBNETS[:1]), SCOPE, "default", {"vpc": "default"})

    assert live is not None
    assert live.health is Health.FAILED
    assert ec2_vpc.stuck(live) == (
        "vpc-1 has subnets in 1 Availability Zone; a database needs two. "
        "Add a subnet in another zone, or set another VPC in the Project."
    )


def test_a_network_that_is_not_there_cannot_be_made() -> None:
    """It is a mistake in the manifest, told while planning."""
    assert ec2_vpc.read(reader(), SCOPE, "vpc-9", {"vpc": "vpc-9"}) is None
    with pytest.raises(Problems, match="VPC vpc-9 does not exist in eu-west-1"):
        trace_steps("ec2_vpc.network", ec2_vpc.create(SCOPE, "vpc-9", {"vpc": "vpc-9"}))


def test_a_subnet_that_is_not_there_cannot_be_made_either() -> None:
    """Likewise."""
    spec = {"vpc": "vpc-1", "subnets": ["subnet-a1", "subnet-z9"]}
    live = ec2_vpc.read(reader(Vpcs=[VPC], Subnets=SUBNETS), SCOPE, "vpc-1", spec)

    assert live is not None
    with pytest.raises(Problems, match="VPC vpc-1 has no subnet subnet-z9"):
        trace_steps("ec2_vpc.network", ec2_vpc.update(SCOPE, "vpc-1", spec, live, frozenset({"subnets"})))


SPEC = {"network": "default", "vpc": "vpc-1", "route_tables": ["rtb-1", "rtb-2"], "tags": {"a": "b"}}


def endpoint(vpc: str = "vpc-1", tags: Any = (), tables: Any = ("rtb-1",), state: str = "available") -> dict[str, Any]:
    return {"VpcEndpointId": f"vpce-{vpc}", "VpcId": vpc, "Tags": tags, "RouteTableIds": tables, "State": state}


def test_an_endpoint_of_somebody_else_serves_as_well() -> None:
    """It is as it should be, whatever it is like, and goes nowhere."""
    live = ec2_vpc_endpoint.read(reader(Vpcs=[VPC], VpcEndpoints=[endpoint()]), SCOPE, "shop-prod-s3", SPEC)

    assert live is not None
    assert live.spec == {"network": "default", "complete": True, "marked": True, "tags": {"a": "b"}}
    assert live.owner == "shop/prod"
    assert trace_steps("x", ec2_vpc_endpoint.delete(SCOPE, "shop-prod-s3", live)).steps == ()


@pytest.mark.parametrize(("tables", "complete"), [(["rtb-1"], False), (["rtb-1", "rtb-2"], True)])
def test_our_endpoint_serves_every_route_table(tables: list[str], complete: bool) -> None:
    """One that came later is a difference."""
    found = reader(Vpcs=[VPC], VpcEndpoints=[endpoint(tags=OURS, tables=tables)], RouteTables=TABLES)
    live = ec2_vpc_endpoint.read(found, SCOPE, "shop-prod-s3", SPEC)

    assert live is not None
    assert live.spec["complete"] is complete


@pytest.mark.parametrize("there", [endpoint("vpc-2"), endpoint(state="deleting"), endpoint(state="Rejected")])
def test_an_endpoint_elsewhere_or_on_its_way_out_is_none(there: dict[str, Any]) -> None:
    """A new one has to be made."""
    assert ec2_vpc_endpoint.read(reader(Vpcs=[VPC], VpcEndpoints=[there]), SCOPE, "shop-prod-s3", SPEC) is None


def test_only_our_endpoint_is_pruned() -> None:
    """Found by its marks, for the tagging API gives no names."""
    found = reader(VpcEndpoints=[endpoint(), endpoint("vpc-2", tags=[*OURS, {"Key": "Name", "Value": "shop-prod-s3"}])])

    assert list(ec2_vpc_endpoint.discover(found, SCOPE)) == ["shop-prod-s3"]
    live = ec2_vpc_endpoint.read(found, SCOPE, "shop-prod-s3", {})
    assert live is not None
    assert live.outputs["id"] == "vpce-vpc-2"


def test_of_two_groups_of_one_name_ours_is_meant() -> None:
    """Names are unique in a VPC only; and what AWS groups by port is a rule each."""
    permission = {
        "IpProtocol": "tcp",
        "FromPort": 5432,
        "ToPort": 5432,
        "UserIdGroupPairs": [{"GroupId": "sg-api"}],
        "IpRanges": [{"CidrIp": "10.0.0.0/8"}],
    }
    base = {"GroupName": "shop-prod-main", "Description": "x", "VpcId": "vpc-1", "IpPermissions": [permission]}
    groups = [{**base, "GroupId": "sg-theirs"}, {**base, "GroupId": "sg-ours", "Tags": OURS}]
    live = ec2_security_group.read(reader(SecurityGroups=groups), SCOPE, "shop-prod-main", {"ingress": []})

    assert live is not None
    assert live.outputs["id"] == "sg-ours"
    assert live.spec["ingress"] == [
        {"port": "5432", "protocol": "tcp", "source": "10.0.0.0/8"},
        {"port": "5432", "protocol": "tcp", "source": "sg-api"},
    ]
    assert list(ec2_security_group.discover(reader(SecurityGroups=groups), SCOPE)) == ["shop-prod-main"]
