"""DB subnet groups and parameter groups: lower-case names, two zones at least, not deleted while in use."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.overrides.rds.base import Registry
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context

_FAMILIES = ("postgres13", "postgres14", "postgres15", "postgres16", "postgres17", "mysql8.0", "mysql8.4")


class Groups(Registry):
    """Subnet groups and parameter groups."""

    def create_db_subnet_group(self, params: Params, context: Context) -> Params:
        """Needs subnets in two availability zones."""
        name = params["DBSubnetGroupName"].lower()
        if self._has("DescribeDBSubnetGroups", "DBSubnetGroupName", name, context):
            raise AwsError("DBSubnetGroupAlreadyExists", "The DB subnet group already exists.", 400)
        self._check_zones(params["SubnetIds"], context)
        return context.forward({**params, "DBSubnetGroupName": name})

    def modify_db_subnet_group(self, params: Params, context: Context) -> Params:
        """Likewise."""
        self._check_zones(params["SubnetIds"], context)
        return context.forward({**params, "DBSubnetGroupName": params["DBSubnetGroupName"].lower()})

    def describe_db_subnet_groups(self, params: Params, context: Context) -> Params:
        """By name in any case."""
        if "DBSubnetGroupName" in params:
            params = {**params, "DBSubnetGroupName": params["DBSubnetGroupName"].lower()}
        return context.forward(params)

    def delete_db_subnet_group(self, params: Params, context: Context) -> Params:
        """Refused while an instance is in it."""
        name = params["DBSubnetGroupName"].lower()
        self._require_subnet_group(name, context)
        for each in list(self._instances.values()):
            self._settled(each)
        found = self.world.call("rds", "DescribeDBInstances", context.region)["DBInstances"]
        if any(each.get("DBSubnetGroup", {}).get("DBSubnetGroupName") == name for each in found):
            message = "Cannot delete the subnet group because at least one database instance is still using it."
            raise AwsError("InvalidDBSubnetGroupStateFault", message, 400)
        return context.forward({"DBSubnetGroupName": name})

    def describe_db_parameter_groups(self, params: Params, context: Context) -> Params:
        """A name that is not there is an error; AWS's defaults are there."""
        name = params.get("DBParameterGroupName", "").lower()
        if name.startswith("default.") and name.removeprefix("default.") in _FAMILIES:
            return {"DBParameterGroups": [self._default_group(name, context)]}
        found = context.forward({**params, **({"DBParameterGroupName": name} if name else {})})
        if name and not found["DBParameterGroups"]:
            raise AwsError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
        return found

    def create_db_parameter_group(self, params: Params, context: Context) -> Params:
        """Its name must be free."""
        name = params["DBParameterGroupName"].lower()
        if self._has("DescribeDBParameterGroups", "DBParameterGroupName", name, context):
            raise AwsError("DBParameterGroupAlreadyExists", f"Parameter group {name} already exists", 400)
        return context.forward({**params, "DBParameterGroupName": name})

    def delete_db_parameter_group(self, params: Params, context: Context) -> Params:
        """Refused while an instance uses it."""
        name = params["DBParameterGroupName"].lower()
        self._require_parameter_group(name, context)
        users = [each for each in self._instances.values() if each.region == context.region]
        if any(group["DBParameterGroupName"] == name for each in users for group in each.facts["DBParameterGroups"]):
            message = "One or more database instances are still members of this parameter group."
            raise AwsError("InvalidDBParameterGroupState", message, 400)
        return context.forward({"DBParameterGroupName": name})

    def _default_group(self, name: str, context: Context) -> Params:
        family = name.removeprefix("default.")
        return {
            "DBParameterGroupName": name,
            "DBParameterGroupFamily": family,
            "Description": f"Default parameter group for {family}",
            "DBParameterGroupArn": f"arn:aws:rds:{context.region}:{self.world.account}:pg:{name}",
        }

    def _check_zones(self, subnets: list[str], context: Context) -> None:
        try:
            found = self.world.call("ec2", "DescribeSubnets", context.region, SubnetIds=subnets)["Subnets"]
        except AwsError as error:
            raise AwsError("InvalidSubnet", f"Some input subnets are invalid: {', '.join(subnets)}.", 400) from error
        if len({each["AvailabilityZone"] for each in found}) < 2:
            message = "The DB subnet group doesn't meet AZ coverage requirement. Add subnets to cover at least 2 AZs."
            raise AwsError("DBSubnetGroupDoesNotCoverEnoughAZs", message, 400)

    def _has(self, operation: str, parameter: str, name: str, context: Context) -> bool:
        try:
            found = self.world.call("rds", operation, context.region, **{parameter: name})
        except AwsError:
            return False
        return any(bool(value) for value in found.values())

    def _require_subnet_group(self, name: str, context: Context) -> None:
        if not self._has("DescribeDBSubnetGroups", "DBSubnetGroupName", name, context):
            raise AwsError("DBSubnetGroupNotFoundFault", f"DB subnet group '{name}' not found.", 404)

    def _require_parameter_group(self, name: str, context: Context) -> None:
        is_default = name.removeprefix("default.") in _FAMILIES
        if not is_default and not self._has("DescribeDBParameterGroups", "DBParameterGroupName", name, context):
            raise AwsError("DBParameterGroupNotFound", f"DBParameterGroup not found: {name}", 404)
