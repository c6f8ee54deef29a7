"""Emulate App Runner's services and their operations.

Follows AWS's guide and API reference: one operation at a time, a failed deployment rolls back without an error, a
deleted service is DELETED. The process that the emulator runs for the service, if it runs services, and the fault
settings decide whether a deployment is healthy.
"""

from __future__ import annotations

import secrets
import shlex
from copy import deepcopy

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Params, operation_model
from orchestrator.emulator.service_base import CallContext, Handler, Workload
from orchestrator.emulator.services.account_checks import can_assume_role, is_failing_image
from orchestrator.emulator.services.apprunner.auto_scaling_and_connectors import (
    AutoScalingConfigurations,
    VpcConnectors,
    parse_tags,
)
from orchestrator.emulator.services.apprunner.configuration import fill_defaults, invalid_request
from orchestrator.emulator.services.apprunner.entities import AppRunnerService, current_time, generate_id
from orchestrator.emulator.services.apprunner.observability import ObservabilityConfigurations
from orchestrator.emulator.services.constraints import check_constraints
from orchestrator.emulator.services.pagination import paginate

_MAX_SERVICES = 30  # AWS's quota in a region
_HOST_CHARACTERS = "abcdefghijkmnpqrstuvwxyz23456789"


class AppRunner(AutoScalingConfigurations, VpcConnectors, ObservabilityConfigurations):
    """The whole service."""

    def handler(self, operation: str) -> Handler | None:
        """Return the method for an operation, which first checks the model's constraints."""
        method = super().handler(operation)
        if method is None:
            return None

        def call_validated(params: Params, context: CallContext) -> Params | Response:
            check_constraints(operation_model("apprunner", operation).input_shape, params)
            return method(params, context)

        return call_validated

    def create_service(self, params: Params, context: CallContext) -> Params:
        """Start a creation; refuse a role that App Runner cannot assume and a name in use."""
        name, region = params["ServiceName"], context.region
        active_services = self._store.list_active_services(region)
        if any(active_service.name == name for active_service in active_services):
            raise invalid_request(f"Service with the provided name already exists: {name}.")
        if len(active_services) >= _MAX_SERVICES:
            raise AwsError("ServiceQuotaExceededException", "Service quota exceeded.")
        settings = self._resolve_settings(fill_defaults(params), context)
        service_id = generate_id()
        url = f"{''.join(secrets.choice(_HOST_CHARACTERS) for _ in range(10))}.{region}.awsapprunner.com"
        arn = self._arn("service", f"{name}/{service_id}", region)
        created = AppRunnerService(name, service_id, arn, url, region, current_time(), settings, parse_tags(params))
        self._store.services[arn] = created
        for log_kind in ("application", "service"):
            self._create_log_group(f"{_log_group_prefix(created)}/{log_kind}", region)
        return self._start_operation(created, "CREATE_SERVICE", will_fail=self._is_failing(settings))

    def describe_service(self, params: Params, context: CallContext) -> Params:
        """Return a service by ARN; a deleted one is DELETED."""
        return {"Service": self._service_shape(self._get_service(params["ServiceArn"]))}

    def update_service(self, params: Params, context: CallContext) -> Params:
        """Change settings and deploy them; allowed in CREATE_FAILED, too."""
        app_service = self._get_active_service(params["ServiceArn"])
        app_service.require_status("RUNNING", "CREATE_FAILED")
        app_service.settings = self._resolve_settings(fill_defaults(params, app_service.settings), context)
        will_fail = self._is_failing(app_service.settings)
        return self._start_operation(app_service, "UPDATE_SERVICE", will_fail=will_fail)

    def start_deployment(self, params: Params, context: CallContext) -> Params:
        """Deploy the configured image again."""
        app_service = self._get_active_service(params["ServiceArn"])
        app_service.require_status("RUNNING")
        return {
            "OperationId": self._start_operation(
                app_service, "START_DEPLOYMENT", will_fail=self._is_failing(app_service.settings)
            )["OperationId"]
        }

    def pause_service(self, params: Params, context: CallContext) -> Params:
        """Pause a running service."""
        app_service = self._get_active_service(params["ServiceArn"])
        app_service.require_status("RUNNING")
        return self._start_operation(app_service, "PAUSE_SERVICE")

    def resume_service(self, params: Params, context: CallContext) -> Params:
        """Resume a paused service."""
        app_service = self._get_active_service(params["ServiceArn"])
        app_service.require_status("PAUSED")
        return self._start_operation(app_service, "RESUME_SERVICE")

    def delete_service(self, params: Params, context: CallContext) -> Params:
        """Delete a service; its name is free once the operation is over."""
        app_service = self._get_active_service(params["ServiceArn"])
        app_service.require_status("RUNNING", "PAUSED", "CREATE_FAILED", "DELETE_FAILED")
        return self._start_operation(app_service, "DELETE_SERVICE")

    def list_services(self, params: Params, context: CallContext) -> Params:
        """List the services that are not deleted."""
        members = ("ServiceName", "ServiceId", "ServiceArn", "ServiceUrl", "CreatedAt", "UpdatedAt", "Status")
        shapes = [self._service_shape(app_service) for app_service in self._store.list_active_services(context.region)]
        summaries = [{name: shape[name] for name in members} for shape in shapes]
        items, token = paginate(summaries, params.get("MaxResults", 20), params.get("NextToken"))
        return {"ServiceSummaryList": items, "NextToken": token}

    def list_operations(self, params: Params, context: CallContext) -> Params:
        """List the operations of a service, newest first."""
        summaries = [operation.summary_shape() for operation in self._get_service(params["ServiceArn"]).operations]
        items, token = paginate(summaries, params.get("MaxResults", 20), params.get("NextToken"))
        return {"OperationSummaryList": items, "NextToken": token}

    def describe_custom_domains(self, params: Params, context: CallContext) -> Params:
        """Return no custom domain: only the service's own URL is emulated."""
        app_service = self._get_service(params["ServiceArn"])
        return {"DNSTarget": app_service.url, "ServiceArn": app_service.arn, "CustomDomains": [], "VpcDNSTargets": []}

    def list_connections(self, params: Params, context: CallContext) -> Params:
        """Return no connection: code repositories are not emulated."""
        return {"ConnectionSummaryList": []}

    def list_vpc_ingress_connections(self, params: Params, context: CallContext) -> Params:
        """Return no connection: private endpoints are not emulated."""
        return {"VpcIngressConnectionSummaryList": []}

    def list_tags_for_resource(self, params: Params, context: CallContext) -> Params:
        """Return the tags of a service, scaling configuration or connector."""
        tags = self._get_tags(params["ResourceArn"])
        return {"Tags": [{"Key": key, "Value": value} for key, value in tags.items()]}

    def tag_resource(self, params: Params, context: CallContext) -> Params:
        """Add or change tags."""
        self._get_tags(params["ResourceArn"]).update(parse_tags(params))
        return {}

    def untag_resource(self, params: Params, context: CallContext) -> Params:
        """Remove tags; ignore missing keys."""
        tags = self._get_tags(params["ResourceArn"])
        for key in params["TagKeys"]:
            tags.pop(key, None)
        return {}

    def tags_by_arn(self, region: str) -> dict[str, dict[str, str]]:
        """Return the tags of all active resources, by ARN, for the tagging API."""
        revisions = [
            *self._store.auto_scaling_configurations.values(),
            *self._store.vpc_connectors.values(),
            *self._store.observability_configurations.values(),
        ]
        revision_tags = {item.arn: item.tags for item in revisions if item.status == "ACTIVE" and item.region == region}
        return {**revision_tags, **{item.arn: item.tags for item in self._store.list_active_services(region)}}

    def security_groups_in_use(self, region: str) -> set[str]:
        """Return the security groups of the active VPC connectors."""
        active = [connector for connector in self._list_connectors(region) if connector.status == "ACTIVE"]
        return {group for connector in active for group in connector.details["SecurityGroups"]}

    def _get_tags(self, arn: str) -> dict[str, str]:
        for revisions in (
            self._store.auto_scaling_configurations,
            self._store.vpc_connectors,
            self._store.observability_configurations,
        ):
            if arn in revisions and revisions[arn].status == "ACTIVE":
                return revisions[arn].tags
        return self._get_active_service(arn).tags

    def _get_service(self, arn: str) -> AppRunnerService:
        app_service = self._store.services.get(arn)
        if app_service is None:
            raise AwsError("ResourceNotFoundException", f"Service not found for ARN: {arn}.")
        app_service.refresh()
        return app_service

    def _get_active_service(self, arn: str) -> AppRunnerService:
        app_service = self._get_service(arn)
        if app_service.status == "DELETED":
            raise AwsError("ResourceNotFoundException", f"Service not found for ARN: {arn}.")
        return app_service

    def _start_operation(
        self, app_service: AppRunnerService, operation_type: str, *, will_fail: bool = False
    ) -> Params:
        operation = app_service.start_operation(
            operation_type, self.state.settle_seconds("apprunner"), will_fail=will_fail
        )
        if self.state.container_runtime is not None and not will_fail:
            if operation_type in ("PAUSE_SERVICE", "DELETE_SERVICE"):
                self.state.container_runtime.stop(app_service.url)
            else:
                operation.start_attempt = self.state.container_runtime.start(_build_workload(app_service))
        return {"Service": self._service_shape(app_service), "OperationId": operation.id}

    def _resolve_settings(self, settings: Params, context: CallContext) -> Params:
        """Return settings with full ARNs. Raises AwsError for a reference that is missing or inactive."""
        default_arn = self._default_auto_scaling(context.region).arn
        scaling = self._get_revision(
            self._store.auto_scaling_configurations, settings.get("AutoScalingConfigurationArn", default_arn)
        )
        if scaling.status != "ACTIVE":
            raise invalid_request(f"Auto scaling configuration {scaling.arn} is not active.")
        settings["AutoScalingConfigurationArn"] = scaling.arn
        connector = settings["NetworkConfiguration"]["EgressConfiguration"].get("VpcConnectorArn")
        if connector and self._get_revision(self._store.vpc_connectors, connector).status != "ACTIVE":
            raise invalid_request(f"VPC connector {connector} is not active.")
        self._check_role("instance role", settings["InstanceConfiguration"].get("InstanceRoleArn"), "tasks")
        access_role = settings["SourceConfiguration"].get("AuthenticationConfiguration", {}).get("AccessRoleArn")
        self._check_role("access role", access_role, "build")
        return settings

    def _check_role(self, role_kind: str, arn: str | None, principal: str) -> None:
        """Raise AwsError unless App Runner can assume a role: it exists, is old enough, trusts the principal."""
        if arn is None:
            return
        if not can_assume_role(self.state, arn, f"{principal}.apprunner.amazonaws.com"):
            raise invalid_request(f"Error in assuming {role_kind} {arn}")

    def _is_failing(self, settings: Params) -> bool:
        """Return whether the fault settings make the deployment of the image fail."""
        image = settings["SourceConfiguration"].get("ImageRepository", {}).get("ImageIdentifier", "")
        return is_failing_image(self.state, image)

    def _create_log_group(self, name: str, region: str) -> None:
        try:
            self.state.call("logs", "CreateLogGroup", region, logGroupName=name)
        except AwsError as error:
            if error.code != "ResourceAlreadyExistsException":
                raise

    def _service_shape(self, app_service: AppRunnerService) -> Params:
        """Return the Service shape."""
        app_service.refresh()
        settings = deepcopy(app_service.settings)
        scaling = self._auto_scaling_shape(
            self._store.auto_scaling_configurations[settings.pop("AutoScalingConfigurationArn")]
        )
        return {
            "ServiceName": app_service.name,
            "ServiceId": app_service.id,
            "ServiceArn": app_service.arn,
            "ServiceUrl": app_service.url,
            "CreatedAt": app_service.created_at,
            "UpdatedAt": app_service.updated_at,
            "DeletedAt": app_service.deleted_at,
            "Status": app_service.status,
            **settings,
            "AutoScalingConfigurationSummary": scaling,
        }


def _log_group_prefix(app_service: AppRunnerService) -> str:
    return f"/aws/apprunner/{app_service.name}/{app_service.id}"


def _build_workload(app_service: AppRunnerService) -> Workload:
    """Return the workload that a service's settings describe."""
    settings = deepcopy(app_service.settings)
    repository = settings["SourceConfiguration"].get("ImageRepository", {})
    image_config, log_prefix = repository.get("ImageConfiguration", {}), _log_group_prefix(app_service)
    return Workload(
        app_service.url,
        app_service.region,
        repository.get("ImageIdentifier", ""),
        str(image_config.get("Port", "8080")),
        settings["HealthCheckConfiguration"],
        tuple(shlex.split(image_config.get("StartCommand", ""))),
        environment=image_config.get("RuntimeEnvironmentVariables", {}),
        secrets=image_config.get("RuntimeEnvironmentSecrets", {}),
        output_log=(f"{log_prefix}/application", "instance"),
        event_log_group=f"{log_prefix}/service",
    )
