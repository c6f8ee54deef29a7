"""Emulate ECS with Express Mode: create, change and delete gateway services; forward everything else.

Follows botocore's model, AWS's guide and published observations: a creation returns at once with an ACTIVE service and
a deployment in progress; a newer update stops it; an unhealthy deployment rolls back to the last healthy revision, and
fails without one. The process that the emulator runs for the service, if it runs services, and the fault settings
decide whether a deployment is healthy.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Params, operation_model
from orchestrator.emulator.service_base import CallContext, Handler, StartAttempt, Workload
from orchestrator.emulator.services.account_checks import can_assume_role, is_failing_image
from orchestrator.emulator.services.constraints import check_constraints
from orchestrator.emulator.services.express.configuration import client_error, fill_defaults, invalid_parameter
from orchestrator.emulator.services.express.deployments import parse_cluster_name
from orchestrator.emulator.services.express.entities import GatewayService, Revision, generate_host
from orchestrator.emulator.services.express.managed_network import Network
from orchestrator.emulator.services.express.services_and_tags import parse_tags
from orchestrator.emulator.services.express.shapes import gateway_shape, to_tag_list, updated_shape
from orchestrator.emulator.services.express.standalone_tasks import TASKS_PRINCIPAL, StandaloneTasks

HEALTH_CHECK = {
    "Protocol": "HTTP",
    "Interval": 1,
    "Timeout": 5,
    "HealthyThreshold": 1,
    "UnhealthyThreshold": 2,
    "Grace": 30,
}
"""The load balancer's check, with shorter times: wait for a silent process, fail soon on a wrong answer."""
_NAME_PATTERN = re.compile(r"[A-Za-z0-9_-]{1,255}")


class Ecs(StandaloneTasks):
    """Express services, and the other ECS operations that show them."""

    def handler(self, operation: str) -> Handler | None:
        """Return the method for an operation; those of Express Mode first check the model's constraints."""
        method = super().handler(operation)
        if method is None or "Express" not in operation:
            return method

        def call_validated(params: Params, context: CallContext) -> Params | Response:
            check_constraints(operation_model("ecs", operation).input_shape, params)
            return method(params, context)

        return call_validated

    def create_express_gateway_service(self, params: Params, context: CallContext) -> Params:
        """Create an ACTIVE service with a deployment in progress; check roles and name first."""
        region, cluster = context.region, parse_cluster_name(params.get("cluster"))
        name = params.get("serviceName") or f"express-{uuid.uuid4().hex[:8]}"
        if not _NAME_PATTERN.fullmatch(name):
            raise invalid_parameter("serviceName must be up to 255 letters, numbers, underscores and hyphens.")
        arn = self._arn(region, cluster, name)
        settings = fill_defaults(params)
        self._ensure_cluster(cluster, context)
        self._check_name(arn, cluster, context)
        self._check_roles(settings, params["infrastructureRoleArn"])
        network_client, role = Network(self.state, region), params["infrastructureRoleArn"]
        network, vpc, access = network_client.resolve_network(settings["networkConfiguration"])
        balancer = network_client.ensure_load_balancer(
            (existing.load_balancer for existing in self._list_gateways(region)), network, vpc, access
        )
        group = network_client.add_service_security_group(name, balancer, settings["primaryContainer"]["containerPort"])
        gateway = GatewayService(
            name,
            cluster,
            arn,
            generate_host(name, region),
            region,
            role,
            parse_tags(params),
            balancer,
            group,
            self._settle_seconds,
        )
        gateway.start_workload = self._workload_starter(gateway) if self.state.container_runtime is not None else None
        self._ensure_log_group(gateway, settings)
        self._gateways[arn] = gateway
        self._start_deployment(gateway, settings, network)
        return {"service": {**gateway_shape(gateway), "tags": to_tag_list(gateway.tags)}}

    def describe_express_gateway_service(self, params: Params, context: CallContext) -> Params:
        """Return a service by ARN; a deleted one is INACTIVE."""
        gateway = self._find_gateway(params["serviceArn"])
        if gateway is None:
            raise self._missing_service_error("ResourceNotFoundException", "The specified resource wasn't found.")
        tags = {"tags": to_tag_list(gateway.tags)} if "TAGS" in params.get("include", []) else {}
        return {"service": {**gateway_shape(gateway), **tags}}

    def update_express_gateway_service(self, params: Params, context: CallContext) -> Params:
        """Change the given settings, as a new revision with its deployment, even without a difference."""
        gateway = self._get_active_gateway(params["serviceArn"])
        settings = fill_defaults(params, gateway.active_revisions[-1].settings)
        self._check_roles(settings, None)
        network, _, __ = Network(self.state, context.region).resolve_network(settings["networkConfiguration"])
        self._ensure_log_group(gateway, settings)
        return {"service": updated_shape(gateway, self._start_deployment(gateway, settings, network))}

    def delete_express_gateway_service(self, params: Params, context: CallContext) -> Params:
        """Delete a service: DRAINING, then INACTIVE; stop its tasks and delete its security group."""
        gateway = self._get_active_gateway(params["serviceArn"])
        gateway.start_draining()
        if self.state.container_runtime is not None:
            self.state.container_runtime.stop(gateway.host)
        return {"service": gateway_shape(gateway)}

    def _get_active_gateway(self, arn: str) -> GatewayService:
        gateway = self._find_gateway(arn)
        if gateway is None:
            raise self._missing_service_error("ServiceNotFoundException", "Service not found.")
        if gateway.status == "INACTIVE":
            raise AwsError(
                "ServiceNotActiveException", "Cannot perform this operation on a service in INACTIVE status."
            )
        if gateway.status == "DRAINING":
            raise AwsError("ServiceNotActiveException", "Service is in DRAINING status.")
        return gateway

    def _missing_service_error(self, code: str, message: str) -> AwsError:
        """Return the documented error, or the one that AWS also gives, if the faults ask for it."""
        other_code = self.state.faults.missing_express_code
        return (
            AwsError(code, message)
            if other_code == "ResourceNotFoundException"
            else AwsError(other_code, "Resource not found")
        )

    def _start_deployment(self, gateway: GatewayService, settings: Params, network: Params) -> Revision:
        """Add a revision and deploy it, with ECS's own security group beside the given ones."""
        groups = [*network["securityGroups"], *({gateway.security_group} - {*network["securityGroups"]})]
        settings["networkConfiguration"] = {**network, "securityGroups": groups}
        target = gateway.add_revision(settings, self._register_task_definition(gateway, settings))
        deployment = gateway.start_deployment(target, self._expected_failure(gateway, settings))
        if "no-load-balancers" in self.state.faults.account_limits:
            deployment.is_stuck = True
        return target

    def _settle_seconds(self) -> float:
        return self.state.settle_seconds("ecs")

    def _workload_starter(self, gateway: GatewayService) -> Callable[[Revision], StartAttempt]:
        def start_workload(revision: Revision) -> StartAttempt:
            assert self.state.container_runtime is not None
            return self.state.container_runtime.start(_build_workload(gateway, revision.settings))

        return start_workload

    def _expected_failure(self, gateway: GatewayService, settings: Params) -> str:
        """Return why tasks with these settings are bound to fail, or "" if only running them can tell."""
        from orchestrator.emulator.container_runtime.secret_values import SecretError, resolve_secret

        container = settings["primaryContainer"]
        if is_failing_image(self.state, container["image"]):
            return f"{container['image']} cannot be pulled, or failed its health check"
        for item in container["secrets"]:
            try:
                resolve_secret(self.state, item["valueFrom"], gateway.region)
            except SecretError as error:
                return f"ResourceInitializationError: {error}"
        log_group = container["awsLogsConfiguration"]["logGroup"]
        log_groups = self.state.call("logs", "DescribeLogGroups", gateway.region, logGroupNamePrefix=log_group)[
            "logGroups"
        ]
        if log_group not in {item["logGroupName"] for item in log_groups}:
            return f"ResourceInitializationError: the log group {log_group} does not exist"
        return ""

    def _check_name(self, arn: str, cluster: str, context: CallContext) -> None:
        existing = self._find_gateway(arn)
        status = existing.status if existing is not None else ""
        if existing is None:
            query_params = {"cluster": cluster, "services": [arn]}
            backend_services = self.state.call("ecs", "DescribeServices", context.region, **query_params).get(
                "services", []
            )
            status = backend_services[0]["status"] if backend_services else ""
        if status == "DRAINING":
            raise invalid_parameter("Unable to Start a service that is still Draining.")
        if status == "ACTIVE":
            raise invalid_parameter("Creation of service was not idempotent.")

    def _check_roles(self, settings: Params, infrastructure_role: str | None) -> None:
        if infrastructure_role is not None and not can_assume_role(
            self.state, infrastructure_role, "ecs.amazonaws.com"
        ):
            raise self._role_error(f"Cannot assume role {infrastructure_role}.", infrastructure_role)
        for name in ("executionRoleArn", "taskRoleArn"):
            if name in settings and not can_assume_role(self.state, settings[name], TASKS_PRINCIPAL):
                message = f"Role is not valid: {name} {settings[name]} cannot be assumed by {TASKS_PRINCIPAL}."
                raise self._role_error(message, settings[name])

    def _role_error(self, message: str, role: str) -> AwsError:
        """Return the refusal of a role that cannot be assumed, in one of the three wordings that AWS uses."""
        match self.state.faults.role_error:
            case "not-authorized":
                principal = f"arn:aws:sts::{self.state.account}:assumed-role/ecs/express"
                denial = f"User: {principal} is not authorized to perform: sts:AssumeRole on resource: {role}"
                return AwsError("AccessDeniedException", denial)
            case "credentials":
                return client_error("AWS was not able to validate the provided access credentials")
            case _:
                return AwsError("AccessDeniedException", message) if "Cannot" in message else client_error(message)

    def _ensure_cluster(self, cluster: str, context: CallContext) -> None:
        """Create the cluster ``default`` if missing. Raises AwsError for any other missing cluster."""
        if self._has_cluster(cluster, context.region):
            return
        if cluster != "default":
            raise AwsError("ClusterNotFoundException", "Cluster not found.")
        self.state.call("ecs", "CreateCluster", context.region, clusterName=cluster)

    def _ensure_log_group(self, gateway: GatewayService, settings: Params) -> None:
        """Create a log group unless the settings name one."""
        container = settings["primaryContainer"]
        if "awsLogsConfiguration" in container:
            return
        log_group = f"/aws/ecs/{gateway.cluster}/{gateway.name}-{secrets.token_hex(2)}"
        self.state.call("logs", "CreateLogGroup", gateway.region, logGroupName=log_group)
        container["awsLogsConfiguration"] = {"logGroup": log_group, "logStreamPrefix": "ecs"}

    def _register_task_definition(self, gateway: GatewayService, settings: Params) -> str:
        """Register the task definition that ECS derives from settings and return its ARN."""
        container = settings["primaryContainer"]
        main_container = {
            "name": "Main",
            "image": container["image"],
            "essential": True,
            "portMappings": [{"containerPort": container["containerPort"], "protocol": "tcp", "name": "main"}],
            **{name: container[name] for name in ("command", "environment", "secrets") if container[name]},
        }
        roles = {name: settings[name] for name in ("executionRoleArn", "taskRoleArn") if name in settings}
        response = self.state.call(
            "ecs",
            "RegisterTaskDefinition",
            gateway.region,
            family=f"{gateway.cluster}-{gateway.name}",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu=settings["cpu"],
            memory=settings["memory"],
            containerDefinitions=[main_container],
            **roles,
        )
        return str(response["taskDefinition"]["taskDefinitionArn"])


def _build_workload(gateway: GatewayService, settings: Params) -> Workload:
    """Return the workload that settings describe."""
    container = settings["primaryContainer"]
    logs = container["awsLogsConfiguration"]
    return Workload(
        gateway.host,
        gateway.region,
        container["image"],
        str(container["containerPort"]),
        {**HEALTH_CHECK, "Path": settings["healthCheckPath"]},
        arguments=tuple(container["command"]),
        environment={item["name"]: item.get("value", "") for item in container["environment"]},
        secrets={item["name"]: item["valueFrom"] for item in container["secrets"]},
        output_log=(logs["logGroup"], f"{logs['logStreamPrefix']}/Main"),
    )
