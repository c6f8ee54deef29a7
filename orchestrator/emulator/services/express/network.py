"""Where an Express service's tasks lie: subnets and security groups that are there, and the group ECS adds itself."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import World
from orchestrator.emulator.services.express.configuration import invalid
from orchestrator.emulator.services.express.entities import Balancer

MANAGED = {"Key": "AmazonECSManaged", "Value": "true"}
_ZONES = 2  # a load balancer wants as many


@dataclass(frozen=True)
class Network:
    """The networks of one region."""

    world: World
    region: str

    def chosen(self, given: Params) -> tuple[Params, str, str]:
        """``(networkConfiguration, VPC id, PUBLIC or PRIVATE)``: without subnets, those of the default VPC.

        Raises InvalidParameterException for what is not there, lies in two VPCs or in one zone.
        """
        subnets = self._subnets(given.get("subnets", []))
        vpcs = {each["VpcId"] for each in subnets}
        if len(vpcs) != 1:
            raise invalid("The subnets must be of one VPC." if vpcs else "There is no default VPC with subnets.")
        if len({each["AvailabilityZone"] for each in subnets}) < _ZONES:
            raise invalid("At least two subnets in two different Availability Zones must be specified.")
        vpc = str(vpcs.pop())
        groups = list(given.get("securityGroups", []))
        self._check_groups(groups, vpc)
        network = {"subnets": [each["SubnetId"] for each in subnets], "securityGroups": groups}
        return network, vpc, "PUBLIC" if all(self._is_public(each) for each in subnets) else "PRIVATE"

    def balancer(self, there: Iterable[Balancer], network: Params, vpc: str, access: str) -> Balancer:
        """The load balancer of a VPC: one of those that are there, or a new one."""
        found = next((each for each in there if (each.vpc, each.access) == (vpc, access)), None)
        if found is not None:
            return found
        name = f"ecs-express-gateway-alb-{uuid.uuid4().hex[:8]}"
        group = self.add_group(name, vpc)
        self._admit(group, 443, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
        made = self.world.call(
            "elbv2",
            "CreateLoadBalancer",
            self.region,
            Name=name,
            Subnets=network["subnets"],
            SecurityGroups=[group],
            Scheme="internet-facing" if access == "PUBLIC" else "internal",
            Tags=[MANAGED],
        )["LoadBalancers"][0]
        return Balancer(str(made["LoadBalancerArn"]), access, vpc, tuple(network["subnets"]), group)

    def remove_balancer(self, balancer: Balancer) -> None:
        """Remove it with its group."""
        self.world.call("elbv2", "DeleteLoadBalancer", self.region, LoadBalancerArn=balancer.arn)
        self.remove_group(balancer.group)

    def add_service_group(self, name: str, balancer: Balancer, port: int) -> str:
        """The id of a new security group of a service's own, which lets its load balancer in."""
        group = self.add_group(f"ecs-express-{name}-{uuid.uuid4().hex[:8]}", balancer.vpc)
        self._admit(group, port, UserIdGroupPairs=[{"GroupId": balancer.group}])
        return group

    def add_group(self, name: str, vpc: str) -> str:
        """The id of a new security group, which bears ECS's mark."""
        made = self.world.call(
            "ec2",
            "CreateSecurityGroup",
            self.region,
            GroupName=name,
            Description="Managed by Amazon ECS for Express services",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": [MANAGED]}],
        )
        return str(made["GroupId"])

    def remove_group(self, group: str) -> None:
        """Remove it; one that others hold, or that is gone, is left."""
        try:
            self.world.call("ec2", "DeleteSecurityGroup", self.region, GroupId=group)
        except AwsError:
            return

    def _admit(self, group: str, port: int, **source: Any) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
        self.world.call("ec2", "AuthorizeSecurityGroupIngress", self.region, GroupId=group, IpPermissions=[rule])

    def _subnets(self, ids: list[str]) -> list[Params]:
        wanted: Params = {"SubnetIds": ids} if ids else {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
        try:
            found: list[Params] = self.world.call("ec2", "DescribeSubnets", self.region, **wanted)["Subnets"]
        except AwsError as error:
            raise invalid(f"{error.message}.".replace("..", ".")) from None
        missing = sorted({*ids} - {each["SubnetId"] for each in found})
        if missing:
            raise invalid(f"The subnet ID '{missing[0]}' does not exist.")
        by_id = {each["SubnetId"]: each for each in found}
        return [by_id[each] for each in ids] if ids else found

    def _check_groups(self, groups: list[str], vpc: str) -> None:
        if not groups:
            return
        try:
            found = self.world.call("ec2", "DescribeSecurityGroups", self.region, GroupIds=groups)["SecurityGroups"]
        except AwsError:
            found = []
        known = {each["GroupId"]: each["VpcId"] for each in found}
        for each in groups:
            if known.get(each) != vpc:
                raise invalid(f"The security group '{each}' does not exist in the VPC {vpc}.")

    def _is_public(self, subnet: Params) -> bool:
        """As ECS tells it: by whether the subnet's routes lead to an internet gateway."""
        tables = self.world.call("ec2", "DescribeRouteTables", self.region)["RouteTables"]
        own, main = None, None
        for table in tables:
            for each in table.get("Associations", []):
                own = table if each.get("SubnetId") == subnet["SubnetId"] else own
                main = table if each.get("Main") and table["VpcId"] == subnet["VpcId"] else main
        routes = (own or main or {}).get("Routes", [])
        return subnet.get("DefaultForAz", False) or any(
            str(each.get("GatewayId", "")).startswith("igw-") for each in routes
        )
