"""Resolve an Express service's subnets and security groups, and manage the ones that ECS adds."""

from __future__ import annotations

import uuid
from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import EmulatorState
from orchestrator.emulator.services.express.configuration import invalid_parameter
from orchestrator.emulator.services.express.entities import LoadBalancer

MANAGED_TAG = {"Key": "AmazonECSManaged", "Value": "true"}
_MIN_ZONES = 2  # a load balancer requires two


@dataclass(frozen=True)
class Network:
    """The networks of one region."""

    state: EmulatorState
    region: str

    def resolve_network(self, network_params: Params) -> tuple[Params, str, str]:
        """Return ``(networkConfiguration, VPC id, PUBLIC or PRIVATE)``; the default VPC's subnets by default.

        Raises AwsError InvalidParameterException for missing subnets or groups, two VPCs, or a single zone.
        """
        subnets = self._find_subnets(network_params.get("subnets", []))
        vpcs = {subnet["VpcId"] for subnet in subnets}
        if len(vpcs) != 1:
            raise invalid_parameter(
                "The subnets must be in one VPC." if vpcs else "There is no default VPC with subnets."
            )
        if len({subnet["AvailabilityZone"] for subnet in subnets}) < _MIN_ZONES:
            raise invalid_parameter("At least two subnets in two different Availability Zones must be specified.")
        vpc = str(vpcs.pop())
        groups = list(network_params.get("securityGroups", []))
        self._check_security_groups(groups, vpc)
        network = {"subnets": [subnet["SubnetId"] for subnet in subnets], "securityGroups": groups}
        return network, vpc, "PUBLIC" if all(self._is_public_subnet(subnet) for subnet in subnets) else "PRIVATE"

    def ensure_load_balancer(
        self, existing: Iterable[LoadBalancer], network: Params, vpc: str, access: str
    ) -> LoadBalancer:
        """Return the load balancer of a VPC, an existing or a new one."""
        matching = next(
            (candidate for candidate in existing if (candidate.vpc, candidate.access) == (vpc, access)), None
        )
        if matching is not None:
            return matching
        name = f"ecs-express-gateway-alb-{uuid.uuid4().hex[:8]}"
        group = self.add_security_group(name, vpc)
        self._allow_ingress(group, 443, IpRanges=[{"CidrIp": "0.0.0.0/0"}])
        created = self.state.call(
            "elbv2",
            "CreateLoadBalancer",
            self.region,
            Name=name,
            Subnets=network["subnets"],
            SecurityGroups=[group],
            Scheme="internet-facing" if access == "PUBLIC" else "internal",
            Tags=[MANAGED_TAG],
        )["LoadBalancers"][0]
        return LoadBalancer(str(created["LoadBalancerArn"]), access, vpc, tuple(network["subnets"]), group)

    def remove_load_balancer(self, balancer: LoadBalancer) -> None:
        """Delete a load balancer and its security group."""
        self.state.call("elbv2", "DeleteLoadBalancer", self.region, LoadBalancerArn=balancer.arn)
        self.remove_security_group(balancer.security_group)

    def add_service_security_group(self, name: str, balancer: LoadBalancer, port: int) -> str:
        """Create a service's own security group, open to its load balancer, and return its ID."""
        group = self.add_security_group(f"ecs-express-{name}-{uuid.uuid4().hex[:8]}", balancer.vpc)
        self._allow_ingress(group, port, UserIdGroupPairs=[{"GroupId": balancer.security_group}])
        return group

    def add_security_group(self, name: str, vpc: str) -> str:
        """Create a security group with ECS's tag and return its ID."""
        created = self.state.call(
            "ec2",
            "CreateSecurityGroup",
            self.region,
            GroupName=name,
            Description="Managed by Amazon ECS for Express services",
            VpcId=vpc,
            TagSpecifications=[{"ResourceType": "security-group", "Tags": [MANAGED_TAG]}],
        )
        return str(created["GroupId"])

    def remove_security_group(self, group: str) -> None:
        """Delete a security group; ignore one that is missing or in use."""
        try:
            self.state.call("ec2", "DeleteSecurityGroup", self.region, GroupId=group)
        except AwsError:
            return

    def _allow_ingress(self, group: str, port: int, **source: Any) -> None:
        rule = {"IpProtocol": "tcp", "FromPort": port, "ToPort": port, **source}
        self.state.call("ec2", "AuthorizeSecurityGroupIngress", self.region, GroupId=group, IpPermissions=[rule])

    def _find_subnets(self, ids: list[str]) -> list[Params]:
        query_params: Params = (
            {"SubnetIds": ids} if ids else {"Filters": [{"Name": "default-for-az", "Values": ["true"]}]}
        )
        try:
            subnets: list[Params] = self.state.call("ec2", "DescribeSubnets", self.region, **query_params)["Subnets"]
        except AwsError as error:
            raise invalid_parameter(f"{error.message}.".replace("..", ".")) from None
        missing_ids = sorted({*ids} - {item["SubnetId"] for item in subnets})
        if missing_ids:
            raise invalid_parameter(f"The subnet ID '{missing_ids[0]}' does not exist.")
        by_id = {item["SubnetId"]: item for item in subnets}
        return [by_id[item] for item in ids] if ids else subnets

    def _check_security_groups(self, groups: list[str], vpc: str) -> None:
        if not groups:
            return
        try:
            group_shapes = self.state.call("ec2", "DescribeSecurityGroups", self.region, GroupIds=groups)[
                "SecurityGroups"
            ]
        except AwsError:
            group_shapes = []
        vpc_by_group = {item["GroupId"]: item["VpcId"] for item in group_shapes}
        for item in groups:
            if vpc_by_group.get(item) != vpc:
                raise invalid_parameter(f"The security group '{item}' does not exist in the VPC {vpc}.")

    def _is_public_subnet(self, subnet: Params) -> bool:
        """Return whether a subnet routes to an internet gateway, which is how ECS decides."""
        tables = self.state.call("ec2", "DescribeRouteTables", self.region)["RouteTables"]
        subnet_table, main_table = None, None
        for table in tables:
            for item in table.get("Associations", []):
                subnet_table = table if item.get("SubnetId") == subnet["SubnetId"] else subnet_table
                main_table = table if item.get("Main") and table["VpcId"] == subnet["VpcId"] else main_table
        routes = (subnet_table or main_table or {}).get("Routes", [])
        return subnet.get("DefaultForAz", False) or any(
            str(item.get("GatewayId", "")).startswith("igw-") for item in routes
        )
