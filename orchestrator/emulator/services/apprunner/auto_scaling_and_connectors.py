"""Emulate App Runner's auto scaling configurations and VPC connectors, whose revisions turn INACTIVE."""

from __future__ import annotations

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service
from orchestrator.emulator.services.apprunner.configuration import invalid_request
from orchestrator.emulator.services.apprunner.entities import AppRunnerStore, Revision, current_time, generate_id
from orchestrator.emulator.services.pagination import paginate

_MAX_REVISIONS_PER_NAME = 5  # AWS's quota on auto scaling configurations
_MAX_NAMES = 10
_AUTO_SCALING_DEFAULTS = {"MaxConcurrency": 100, "MinSize": 1, "MaxSize": 25}


def parse_tags(params: Params) -> dict[str, str]:
    """Return the Tags parameter as a dict."""
    return {tag["Key"]: tag["Value"] for tag in params.get("Tags", [])}


class AppRunnerBase(Service):
    """State and look-ups that all of App Runner's operations share."""

    service = "apprunner"
    is_complete = True

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._store = AppRunnerStore()

    def _arn(self, kind: str, path: str, region: str) -> str:
        return f"arn:aws:apprunner:{region}:{self.state.account}:{kind}/{path}"

    def _get_revision(self, revisions: dict[str, Revision], arn: str) -> Revision:
        """Return the revision an ARN names; without ID or revision number, the latest active one."""
        if arn in revisions:
            return revisions[arn]
        active_revisions = [
            revision
            for revision in revisions.values()
            if revision.arn.startswith(f"{arn}/") and revision.status == "ACTIVE"
        ]
        if not active_revisions:
            raise AwsError("ResourceNotFoundException", f"Resource not found: {arn}.")
        return max(active_revisions, key=lambda revision: revision.revision)


class AutoScalingConfigurations(AppRunnerBase):
    """Auto scaling configurations."""

    def _list_auto_scaling(self, region: str) -> list[Revision]:
        """Return all configurations of a region, including AWS's default."""
        arn = self._arn("autoscalingconfiguration", f"DefaultConfiguration/1/{1:032d}", region)
        if arn not in self._store.auto_scaling_configurations:
            self._store.auto_scaling_configurations[arn] = Revision(
                "autoscalingconfiguration",
                "DefaultConfiguration",
                1,
                arn,
                region,
                current_time(),
                dict(_AUTO_SCALING_DEFAULTS),
                {},
                is_default=True,
            )
        return [
            configuration
            for configuration in self._store.auto_scaling_configurations.values()
            if configuration.region == region
        ]

    def _default_auto_scaling(self, region: str) -> Revision:
        return next(configuration for configuration in self._list_auto_scaling(region) if configuration.is_default)

    def create_auto_scaling_configuration(self, params: Params, context: CallContext) -> Params:
        """Create a configuration, or a new revision of an existing name."""
        name = params["AutoScalingConfigurationName"]
        active = [
            item for item in self._list_auto_scaling(context.region) if item.status == "ACTIVE" and not item.is_default
        ]
        same_name = [item for item in self._list_auto_scaling(context.region) if item.name == name]
        if name == "DefaultConfiguration":
            raise invalid_request("The name DefaultConfiguration is reserved.")
        detail = {key: params.get(key, value) for key, value in _AUTO_SCALING_DEFAULTS.items()}
        if detail["MinSize"] > detail["MaxSize"]:
            raise invalid_request("MinSize must not be greater than MaxSize.")
        active_same_name = [item for item in same_name if item.status == "ACTIVE"]
        if len(active_same_name) >= _MAX_REVISIONS_PER_NAME or (
            not active_same_name and len({item.name for item in active}) >= _MAX_NAMES
        ):
            raise AwsError("ServiceQuotaExceededException", "Auto scaling configuration quota exceeded.")
        revision = max((item.revision for item in same_name), default=0) + 1
        arn = self._arn("autoscalingconfiguration", f"{name}/{revision}/{generate_id()}", context.region)
        created = Revision(
            "autoscalingconfiguration", name, revision, arn, context.region, current_time(), detail, parse_tags(params)
        )
        self._store.auto_scaling_configurations[arn] = created
        return {"AutoScalingConfiguration": self._auto_scaling_shape(created)}

    def describe_auto_scaling_configuration(self, params: Params, context: CallContext) -> Params:
        """Return a configuration by full ARN, or the latest revision of a name."""
        self._list_auto_scaling(context.region)
        return {
            "AutoScalingConfiguration": self._auto_scaling_shape(
                self._get_revision(self._store.auto_scaling_configurations, params["AutoScalingConfigurationArn"])
            )
        }

    def list_auto_scaling_configurations(self, params: Params, context: CallContext) -> Params:
        """List active configurations; optionally of one name, or only the latest of each name."""
        name = params.get("AutoScalingConfigurationName")
        shapes = [
            self._auto_scaling_shape(item)
            for item in self._list_auto_scaling(context.region)
            if item.status == "ACTIVE" and name in (None, item.name)
        ]
        selected = [item for item in shapes if item["Latest"] or not params.get("LatestOnly")]
        items, token = paginate(selected, params.get("MaxResults", 100), params.get("NextToken"))
        return {"AutoScalingConfigurationSummaryList": items, "NextToken": token}

    def list_services_for_auto_scaling_configuration(self, params: Params, context: CallContext) -> Params:
        """List the ARNs of the services that use a configuration."""
        self._list_auto_scaling(context.region)
        configuration = self._get_revision(
            self._store.auto_scaling_configurations, params["AutoScalingConfigurationArn"]
        )
        service_arns = [
            app_service.arn for app_service in self._store.list_services_using(configuration.arn, context.region)
        ]
        items, token = paginate(service_arns, params.get("MaxResults", 100), params.get("NextToken"))
        return {"ServiceArnList": items, "NextToken": token}

    def delete_auto_scaling_configuration(self, params: Params, context: CallContext) -> Params:
        """Delete one revision, or all with DeleteAllRevisions; refuse if a service uses one."""
        self._list_auto_scaling(context.region)
        configuration = self._get_revision(
            self._store.auto_scaling_configurations, params["AutoScalingConfigurationArn"]
        )
        configurations = self._store.auto_scaling_configurations.values()
        all_revisions = [
            item for item in configurations if (item.name, item.region) == (configuration.name, configuration.region)
        ]
        deleted = all_revisions if params.get("DeleteAllRevisions") else [configuration]
        if configuration.status == "INACTIVE":
            raise AwsError("ResourceNotFoundException", f"Resource not found: {configuration.arn}.")
        if any(item.is_default for item in deleted):
            raise invalid_request("The default auto scaling configuration cannot be deleted.")
        if any(self._store.list_services_using(item.arn, context.region) for item in deleted):
            raise invalid_request(
                f"Auto scaling configuration {configuration.arn} is in use by a service and cannot be deleted."
            )
        for item in deleted:
            item.deactivate()
        return {"AutoScalingConfiguration": self._auto_scaling_shape(configuration)}

    def update_default_auto_scaling_configuration(self, params: Params, context: CallContext) -> Params:
        """Make another configuration the default of new services."""
        old_default = self._default_auto_scaling(context.region)
        new_default = self._get_revision(self._store.auto_scaling_configurations, params["AutoScalingConfigurationArn"])
        old_default.is_default, new_default.is_default = False, True
        return {"AutoScalingConfiguration": self._auto_scaling_shape(new_default)}

    def _auto_scaling_shape(self, revision: Revision) -> Params:
        """Return the AutoScalingConfiguration shape."""
        active_revisions = [
            other.revision
            for other in self._store.auto_scaling_configurations.values()
            if (other.name, other.region, other.status) == (revision.name, revision.region, "ACTIVE")
        ]
        return {
            "AutoScalingConfigurationArn": revision.arn,
            "AutoScalingConfigurationName": revision.name,
            "AutoScalingConfigurationRevision": revision.revision,
            "Latest": revision.status == "ACTIVE" and revision.revision == max(active_revisions),
            "Status": revision.status.lower(),  # as AWS returns it, although the model's enum differs
            **revision.details,
            "CreatedAt": revision.created_at,
            "DeletedAt": revision.deleted_at,
            "HasAssociatedService": bool(self._store.list_services_using(revision.arn, revision.region)),
            "IsDefault": revision.is_default,
        }


class VpcConnectors(AppRunnerBase):
    """VPC connectors: one revision per name."""

    def create_vpc_connector(self, params: Params, context: CallContext) -> Params:
        """Create a connector, with the VPC's default security group if none is given."""
        name = params["VpcConnectorName"]
        if any(
            connector.name == name and connector.status == "ACTIVE"
            for connector in self._list_connectors(context.region)
        ):
            raise invalid_request(f"VPC connector with name {name} already exists.")
        if (
            len([connector for connector in self._list_connectors(context.region) if connector.status == "ACTIVE"])
            >= _MAX_NAMES
        ):
            raise AwsError("ServiceQuotaExceededException", "VPC connector quota exceeded.")
        groups = params.get("SecurityGroups") or [self._default_security_group(params["Subnets"], context.region)]
        self._check_group_combination(groups, context.region)
        detail = {"Subnets": params["Subnets"], "SecurityGroups": groups}
        arn = self._arn("vpcconnector", f"{name}/1/{generate_id()}", context.region)
        created = Revision("vpcconnector", name, 1, arn, context.region, current_time(), detail, parse_tags(params))
        self._store.vpc_connectors[arn] = created
        return {"VpcConnector": _connector_shape(created)}

    def describe_vpc_connector(self, params: Params, context: CallContext) -> Params:
        """Return a connector by ARN; a deleted one is INACTIVE."""
        return {
            "VpcConnector": _connector_shape(self._get_revision(self._store.vpc_connectors, params["VpcConnectorArn"]))
        }

    def list_vpc_connectors(self, params: Params, context: CallContext) -> Params:
        """List the active connectors."""
        shapes = [
            _connector_shape(connector)
            for connector in self._list_connectors(context.region)
            if connector.status == "ACTIVE"
        ]
        items, token = paginate(shapes, params.get("MaxResults", 100), params.get("NextToken"))
        return {"VpcConnectors": items, "NextToken": token}

    def delete_vpc_connector(self, params: Params, context: CallContext) -> Params:
        """Delete a connector; refuse if a service uses it."""
        connector = self._get_revision(self._store.vpc_connectors, params["VpcConnectorArn"])
        if connector.status == "INACTIVE":
            raise AwsError("ResourceNotFoundException", f"Resource not found: {connector.arn}.")
        if self._store.list_services_using(connector.arn, context.region):
            raise invalid_request(f"VPC connector {connector.arn} is in use by a service and cannot be deleted.")
        connector.deactivate()
        return {"VpcConnector": _connector_shape(connector)}

    def _check_group_combination(self, groups: list[str], region: str) -> None:
        """Refuse a second connector with the same security groups, in AWS's words (pulumi-aws issue 5364)."""
        for connector in self._list_connectors(region):
            if connector.status == "ACTIVE" and {*connector.details["SecurityGroups"]} == {*groups}:
                raise invalid_request(
                    "The security groups combination provided in the request already exists on existing vpc connector. "
                    f"Existing VPC connector arn: {connector.arn}, Security Groups: [{', '.join(sorted(groups))}]"
                )

    def _list_connectors(self, region: str) -> list[Revision]:
        return [connector for connector in self._store.vpc_connectors.values() if connector.region == region]

    def _default_security_group(self, subnets: list[str], region: str) -> str:
        """Return the default security group of the subnets' VPC. Raises AwsError for unknown subnets."""
        try:
            subnet_shapes = self.state.call("ec2", "DescribeSubnets", region, SubnetIds=subnets)["Subnets"]
        except AwsError as error:
            raise invalid_request(f"Invalid subnets: {', '.join(subnets)}.") from error
        filters = [
            {"Name": "vpc-id", "Values": [subnet_shapes[0]["VpcId"]]},
            {"Name": "group-name", "Values": ["default"]},
        ]
        groups = self.state.call("ec2", "DescribeSecurityGroups", region, Filters=filters)["SecurityGroups"]
        return str(groups[0]["GroupId"])


def _connector_shape(revision: Revision) -> Params:
    """Return the VpcConnector shape."""
    return {
        "VpcConnectorName": revision.name,
        "VpcConnectorArn": revision.arn,
        "VpcConnectorRevision": revision.revision,
        **revision.details,
        "Status": revision.status,
        "CreatedAt": revision.created_at,
        "DeletedAt": revision.deleted_at,
    }
