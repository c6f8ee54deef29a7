"""App Runner's auto scaling configurations and VPC connectors: things with revisions that go INACTIVE."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World
from orchestrator.emulator.services.apprunner.configuration import invalid
from orchestrator.emulator.services.apprunner.entities import Revision, State, identifier, now
from orchestrator.emulator.services.pagination import page

_REVISIONS_OF_A_NAME = 5  # AWS's quota on auto scaling configurations
_NAMES = 10
_SCALING_DEFAULTS = {"MaxConcurrency": 100, "MinSize": 1, "MaxSize": 25}


def tags_of(params: Params) -> dict[str, str]:
    """The Tags parameter as a dict."""
    return {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}


class Base(Service):
    """What all of App Runner's operations share."""

    service = "apprunner"
    complete = True

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._state = State()

    def _arn(self, kind: str, path: str, region: str) -> str:
        return f"arn:aws:apprunner:{region}:{self.world.account}:{kind}/{path}"

    def _latest(self, revisions: dict[str, Revision], arn: str) -> Revision:
        """The revision an ARN names; an ARN without id or without revision names the latest active one."""
        if arn in revisions:
            return revisions[arn]
        found = [each for each in revisions.values() if each.arn.startswith(f"{arn}/") and each.status == "ACTIVE"]
        if not found:
            raise AwsError("ResourceNotFoundException", f"Resource not found: {arn}.")
        return max(found, key=lambda each: each.revision)


class Scalings(Base):
    """Auto scaling configurations."""

    def _scalings(self, region: str) -> list[Revision]:
        """All of a region's, AWS's own default among them."""
        arn = self._arn("autoscalingconfiguration", f"DefaultConfiguration/1/{1:032d}", region)
        if arn not in self._state.scalings:
            self._state.scalings[arn] = Revision(
                "autoscalingconfiguration", "DefaultConfiguration", 1, arn, region, now(), dict(_SCALING_DEFAULTS), {},
                is_default=True,
            )  # fmt: skip
        return [each for each in self._state.scalings.values() if each.region == region]

    def _default_scaling(self, region: str) -> Revision:
        return next(each for each in self._scalings(region) if each.is_default)

    def create_auto_scaling_configuration(self, params: Params, context: Context) -> Params:
        """A new configuration, or a new revision of one with the same name."""
        name = params["AutoScalingConfigurationName"]
        active = [each for each in self._scalings(context.region) if each.status == "ACTIVE" and not each.is_default]
        same = [each for each in self._scalings(context.region) if each.name == name]
        if name == "DefaultConfiguration":
            raise invalid("The name DefaultConfiguration is reserved.")
        detail = {key: params.get(key, value) for key, value in _SCALING_DEFAULTS.items()}
        if detail["MinSize"] > detail["MaxSize"]:
            raise invalid("MinSize must not be greater than MaxSize.")
        living = [each for each in same if each.status == "ACTIVE"]
        if len(living) >= _REVISIONS_OF_A_NAME or (not living and len({each.name for each in active}) >= _NAMES):
            raise AwsError("ServiceQuotaExceededException", "Auto scaling configuration quota exceeded.")
        revision = max((each.revision for each in same), default=0) + 1
        arn = self._arn("autoscalingconfiguration", f"{name}/{revision}/{identifier()}", context.region)
        made = Revision("autoscalingconfiguration", name, revision, arn, context.region, now(), detail, tags_of(params))
        self._state.scalings[arn] = made
        return {"AutoScalingConfiguration": self._scaling(made)}

    def describe_auto_scaling_configuration(self, params: Params, context: Context) -> Params:
        """By full ARN, or the latest of a name."""
        self._scalings(context.region)
        return {
            "AutoScalingConfiguration": self._scaling(
                self._latest(self._state.scalings, params["AutoScalingConfigurationArn"])
            )
        }

    def list_auto_scaling_configurations(self, params: Params, context: Context) -> Params:
        """The active ones, of one name if asked, the latest of each name if asked."""
        name = params.get("AutoScalingConfigurationName")
        found = [
            self._scaling(each)
            for each in self._scalings(context.region)
            if each.status == "ACTIVE" and name in (None, each.name)
        ]
        shown = [each for each in found if each["Latest"] or not params.get("LatestOnly")]
        items, token = page(shown, params.get("MaxResults", 100), params.get("NextToken"))
        return {"AutoScalingConfigurationSummaryList": items, "NextToken": token}

    def list_services_for_auto_scaling_configuration(self, params: Params, context: Context) -> Params:
        """The ARNs of its users."""
        self._scalings(context.region)
        found = self._latest(self._state.scalings, params["AutoScalingConfigurationArn"])
        users = [each.arn for each in self._state.users_of(found.arn, context.region)]
        items, token = page(users, params.get("MaxResults", 100), params.get("NextToken"))
        return {"ServiceArnList": items, "NextToken": token}

    def delete_auto_scaling_configuration(self, params: Params, context: Context) -> Params:
        """Retire one revision, or with DeleteAllRevisions all of the name; none that a service uses."""
        self._scalings(context.region)
        found = self._latest(self._state.scalings, params["AutoScalingConfigurationArn"])
        everyone = self._state.scalings.values()
        all_of_it = [each for each in everyone if (each.name, each.region) == (found.name, found.region)]
        doomed = all_of_it if params.get("DeleteAllRevisions") else [found]
        if found.status == "INACTIVE":
            raise AwsError("ResourceNotFoundException", f"Resource not found: {found.arn}.")
        if any(each.is_default for each in doomed):
            raise invalid("The default auto scaling configuration cannot be deleted.")
        if any(self._state.users_of(each.arn, context.region) for each in doomed):
            raise invalid(f"Auto scaling configuration {found.arn} is in use by a service and cannot be deleted.")
        for each in doomed:
            each.retire()
        return {"AutoScalingConfiguration": self._scaling(found)}

    def update_default_auto_scaling_configuration(self, params: Params, context: Context) -> Params:
        """Make another configuration the default of new services."""
        current = self._default_scaling(context.region)
        found = self._latest(self._state.scalings, params["AutoScalingConfigurationArn"])
        current.is_default, found.is_default = False, True
        return {"AutoScalingConfiguration": self._scaling(found)}

    def _scaling(self, revision: Revision) -> Params:
        """The AutoScalingConfiguration shape."""
        active = [
            each.revision
            for each in self._state.scalings.values()
            if (each.name, each.region, each.status) == (revision.name, revision.region, "ACTIVE")
        ]
        return {
            "AutoScalingConfigurationArn": revision.arn,
            "AutoScalingConfigurationName": revision.name,
            "AutoScalingConfigurationRevision": revision.revision,
            "Latest": revision.status == "ACTIVE" and revision.revision == max(active),
            "Status": revision.status.lower(),  # as AWS answers, whatever its model's enum says
            **revision.detail,
            "CreatedAt": revision.created,
            "DeletedAt": revision.deleted,
            "HasAssociatedService": bool(self._state.users_of(revision.arn, revision.region)),
            "IsDefault": revision.is_default,
        }


class Connectors(Base):
    """VPC connectors: one revision a name."""

    def create_vpc_connector(self, params: Params, context: Context) -> Params:
        """A new connector; without security groups it gets the VPC's default one."""
        name = params["VpcConnectorName"]
        if any(each.name == name and each.status == "ACTIVE" for each in self._connectors(context.region)):
            raise invalid(f"VPC connector with name {name} already exists.")
        if len([each for each in self._connectors(context.region) if each.status == "ACTIVE"]) >= _NAMES:
            raise AwsError("ServiceQuotaExceededException", "VPC connector quota exceeded.")
        groups = params.get("SecurityGroups") or [self._default_group(params["Subnets"], context.region)]
        detail = {"Subnets": params["Subnets"], "SecurityGroups": groups}
        arn = self._arn("vpcconnector", f"{name}/1/{identifier()}", context.region)
        made = Revision("vpcconnector", name, 1, arn, context.region, now(), detail, tags_of(params))
        self._state.connectors[arn] = made
        return {"VpcConnector": _connector(made)}

    def describe_vpc_connector(self, params: Params, context: Context) -> Params:
        """By ARN; a deleted one answers INACTIVE."""
        return {"VpcConnector": _connector(self._latest(self._state.connectors, params["VpcConnectorArn"]))}

    def list_vpc_connectors(self, params: Params, context: Context) -> Params:
        """The active ones."""
        found = [_connector(each) for each in self._connectors(context.region) if each.status == "ACTIVE"]
        items, token = page(found, params.get("MaxResults", 100), params.get("NextToken"))
        return {"VpcConnectors": items, "NextToken": token}

    def delete_vpc_connector(self, params: Params, context: Context) -> Params:
        """Retire a connector no service uses."""
        found = self._latest(self._state.connectors, params["VpcConnectorArn"])
        if found.status == "INACTIVE":
            raise AwsError("ResourceNotFoundException", f"Resource not found: {found.arn}.")
        if self._state.users_of(found.arn, context.region):
            raise invalid(f"VPC connector {found.arn} is in use by a service and cannot be deleted.")
        found.retire()
        return {"VpcConnector": _connector(found)}

    def _connectors(self, region: str) -> list[Revision]:
        return [each for each in self._state.connectors.values() if each.region == region]

    def _default_group(self, subnets: list[str], region: str) -> str:
        """The default security group of the subnets' VPC.  Unknown subnets are refused by name."""
        try:
            found = self.world.call("ec2", "DescribeSubnets", region, SubnetIds=subnets)["Subnets"]
        except AwsError as error:
            raise invalid(f"Invalid subnets: {', '.join(subnets)}.") from error
        wanted = [{"Name": "vpc-id", "Values": [found[0]["VpcId"]]}, {"Name": "group-name", "Values": ["default"]}]
        groups = self.world.call("ec2", "DescribeSecurityGroups", region, Filters=wanted)["SecurityGroups"]
        return str(groups[0]["GroupId"])


def _connector(revision: Revision) -> Params:
    """The VpcConnector shape."""
    return {
        "VpcConnectorName": revision.name,
        "VpcConnectorArn": revision.arn,
        "VpcConnectorRevision": revision.revision,
        **revision.detail,
        "Status": revision.status,
        "CreatedAt": revision.created,
        "DeletedAt": revision.deleted,
    }
