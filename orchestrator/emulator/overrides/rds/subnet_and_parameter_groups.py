"""Override DB subnet and parameter groups: lower-case names, two zones, no deletion while in use."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds.databases import Databases
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext

_PARAMETER_GROUP_FAMILIES = (
    "postgres13",
    "postgres14",
    "postgres15",
    "postgres16",
    "postgres17",
    "mysql8.0",
    "mysql8.4",
)


class SubnetAndParameterGroups(Databases):
    """Subnet groups and parameter groups."""

    def create_db_subnet_group(self, params: Params, context: CallContext) -> Params:
        """Create a group; refuse subnets in fewer than two availability zones."""
        self._require_linked_role()
        name = params["DBSubnetGroupName"].lower()
        if self._exists("DescribeDBSubnetGroups", "DBSubnetGroupName", name, context):
            raise AwsError("DBSubnetGroupAlreadyExists", "The DB subnet group already exists.", 400)
        self._check_availability_zones(params["SubnetIds"], context)
        return context.forward({**params, "DBSubnetGroupName": name})

    def modify_db_subnet_group(self, params: Params, context: CallContext) -> Params:
        """Replace the subnets; refuse fewer than two zones, and to drop one in use. moto forgets a modified group."""
        self._check_availability_zones(params["SubnetIds"], context)
        name = params["DBSubnetGroupName"].lower()
        self._require_subnet_group(name, context)
        self._check_dropped_subnets(name, params["SubnetIds"], context)
        arn = f"arn:aws:rds:{context.region}:{self.state.account}:subgrp:{name}"
        tags = self.state.call("rds", "ListTagsForResource", context.region, ResourceName=arn).get("TagList", [])
        response = context.forward({**params, "DBSubnetGroupName": name})
        if not self._exists("DescribeDBSubnetGroups", "DBSubnetGroupName", name, context):
            group = {
                "DBSubnetGroupName": name,
                "DBSubnetGroupDescription": response["DBSubnetGroup"]["DBSubnetGroupDescription"],
                "SubnetIds": params["SubnetIds"],
                "Tags": tags,
            }
            self.state.call("rds", "CreateDBSubnetGroup", context.region, **group)
        return response

    def describe_db_subnet_groups(self, params: Params, context: CallContext) -> Params:
        """Describe groups, by name in any case."""
        if "DBSubnetGroupName" in params:
            params = {**params, "DBSubnetGroupName": params["DBSubnetGroupName"].lower()}
        return context.forward(params)

    def delete_db_subnet_group(self, params: Params, context: CallContext) -> Params:
        """Delete a group; refuse while an instance is in it."""
        name = params["DBSubnetGroupName"].lower()
        self._require_subnet_group(name, context)
        for instance in list(self._instances.values()):
            self._refresh(instance)
        instances = self.state.call("rds", "DescribeDBInstances", context.region)["DBInstances"]
        if any(instance.get("DBSubnetGroup", {}).get("DBSubnetGroupName") == name for instance in instances):
            message = "Cannot delete the subnet group because at least one database instance is still using it."
            raise AwsError("InvalidDBSubnetGroupStateFault", message, 400)
        return context.forward({"DBSubnetGroupName": name})

    def describe_db_parameter_groups(self, params: Params, context: CallContext) -> Params:
        """Describe groups, including AWS's defaults; a missing name is an error."""
        name = params.get("DBParameterGroupName", "").lower()
        if name.startswith("default.") and name.removeprefix("default.") in _PARAMETER_GROUP_FAMILIES:
            return {"DBParameterGroups": [self._default_parameter_group(name, context)]}
        response = context.forward({**params, **({"DBParameterGroupName": name} if name else {})})
        if name and not response["DBParameterGroups"]:
            raise AwsError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
        return response

    def create_db_parameter_group(self, params: Params, context: CallContext) -> Params:
        """Create a group; refuse a name in use."""
        name = params["DBParameterGroupName"].lower()
        if self._exists("DescribeDBParameterGroups", "DBParameterGroupName", name, context):
            raise AwsError("DBParameterGroupAlreadyExists", f"Parameter group {name} already exists", 400)
        return context.forward({**params, "DBParameterGroupName": name})

    def modify_db_parameter_group(self, params: Params, context: CallContext) -> Params:
        """Change parameters; dynamic ones apply at once to the instances of the group."""
        response = context.forward(params)
        for instance in self._instances.values():
            groups = [group["DBParameterGroupName"] for group in instance.attributes["DBParameterGroups"]]
            if instance.region == context.region and params["DBParameterGroupName"].lower() in groups:
                self._apply_parameters(instance)
        return response

    def delete_db_parameter_group(self, params: Params, context: CallContext) -> Params:
        """Delete a group; refuse while an instance uses it."""
        name = params["DBParameterGroupName"].lower()
        self._require_parameter_group(name, context)
        instances = [instance for instance in self._instances.values() if instance.region == context.region]
        if any(
            group["DBParameterGroupName"] == name
            for instance in instances
            for group in instance.attributes["DBParameterGroups"]
        ):
            message = "One or more database instances are still members of this parameter group."
            raise AwsError("InvalidDBParameterGroupState", message, 400)
        return context.forward({"DBParameterGroupName": name})

    def _default_parameter_group(self, name: str, context: CallContext) -> Params:
        family = name.removeprefix("default.")
        return {
            "DBParameterGroupName": name,
            "DBParameterGroupFamily": family,
            "Description": f"Default parameter group for {family}",
            "DBParameterGroupArn": f"arn:aws:rds:{context.region}:{self.state.account}:pg:{name}",
        }

    def _check_dropped_subnets(self, group: str, subnets: list[str], context: CallContext) -> None:
        """Refuse to drop the subnet in which an instance has its network interface: the first of its zone here."""
        groups = self.state.call("rds", "DescribeDBSubnetGroups", context.region)["DBSubnetGroups"]
        current = next(item["Subnets"] for item in groups if item["DBSubnetGroupName"] == group)
        by_zone: dict[str, str] = {}
        for subnet in sorted(current, key=lambda item: str(item["SubnetIdentifier"])):
            by_zone.setdefault(subnet["SubnetAvailabilityZone"]["Name"], subnet["SubnetIdentifier"])
        instances = self.state.call("rds", "DescribeDBInstances", context.region)["DBInstances"]
        zones = {
            item.get("AvailabilityZone", "")
            for item in instances
            if item.get("DBSubnetGroup", {}).get("DBSubnetGroupName") == group
        }
        if in_use := sorted(subnet for zone, subnet in by_zone.items() if zone in zones and subnet not in subnets):
            message = f"Some of the subnets to be deleted are currently in use: {', '.join(in_use)}"
            raise AwsError("InvalidParameterValue", message, 400)

    def _check_availability_zones(self, subnets: list[str], context: CallContext) -> None:
        try:
            subnet_shapes = self.state.call("ec2", "DescribeSubnets", context.region, SubnetIds=subnets)["Subnets"]
        except AwsError as error:
            raise AwsError("InvalidSubnet", f"Some input subnets are invalid: {', '.join(subnets)}.", 400) from error
        if len({subnet["AvailabilityZone"] for subnet in subnet_shapes}) < 2:
            message = "The DB subnet group doesn't meet AZ coverage requirement. Add subnets to cover at least 2 AZs."
            raise AwsError("DBSubnetGroupDoesNotCoverEnoughAZs", message, 400)

    def _exists(self, operation: str, parameter: str, name: str, context: CallContext) -> bool:
        try:
            response = self.state.call("rds", operation, context.region, **{parameter: name})
        except AwsError:
            return False
        return any(bool(value) for value in response.values())

    def _require_subnet_group(self, name: str, context: CallContext) -> None:
        if not self._exists("DescribeDBSubnetGroups", "DBSubnetGroupName", name, context):
            raise AwsError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' not found.", 404)

    def _require_parameter_group(self, name: str, context: CallContext) -> None:
        is_default = name.removeprefix("default.") in _PARAMETER_GROUP_FAMILIES
        if not is_default and not self._exists("DescribeDBParameterGroups", "DBParameterGroupName", name, context):
            raise AwsError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
