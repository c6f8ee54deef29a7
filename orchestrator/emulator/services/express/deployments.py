"""Emulate ECS's reads of deployments and revisions, and the stop of a deployment.

Services that are not Express services are forwarded to the backend.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service
from orchestrator.emulator.services.express.configuration import invalid_parameter
from orchestrator.emulator.services.express.entities import Deployment, GatewayService
from orchestrator.emulator.services.express.managed_network import Network
from orchestrator.emulator.services.express.shapes import brief_shape, deployment_shape, revision_shape
from orchestrator.emulator.services.pagination import paginate

T = TypeVar("T")
_PAGE_SIZE = 100


class ExpressBase(Service):
    """State that all Express operations share: the services by ARN."""

    service = "ecs"

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._gateways: dict[str, GatewayService] = {}

    def _arn(self, region: str, cluster: str, name: str) -> str:
        return f"arn:aws:ecs:{region}:{self.state.account}:service/{cluster}/{name}"

    def _find_gateway(self, arn: str) -> GatewayService | None:
        """Return an Express service, refreshed; a deleted one is INACTIVE until its name is reused."""
        gateway = self._gateways.get(arn)
        if gateway is not None:
            previous_status = gateway.status
            gateway.refresh()
            if previous_status != gateway.status == "INACTIVE":
                self._remove_network(gateway)
        return gateway

    def _remove_network(self, gateway: GatewayService) -> None:
        """Delete a service's security group, and the load balancer with its last service."""
        network = Network(self.state, gateway.region)
        network.remove_security_group(gateway.security_group)
        other_gateways = (other for other in self._gateways.values() if other.status != "INACTIVE")
        if all(other.load_balancer is not gateway.load_balancer for other in other_gateways):
            network.remove_load_balancer(gateway.load_balancer)

    def _list_gateways(self, region: str) -> list[GatewayService]:
        """Return the services of a region that are not INACTIVE, refreshed, in order of creation."""
        gateways = [self._find_gateway(arn) for arn in list(self._gateways)]
        return [
            gateway
            for gateway in gateways
            if gateway is not None and gateway.region == region and gateway.status != "INACTIVE"
        ]

    def _find_gateway_by_name(self, service: str, cluster: str | None, region: str) -> GatewayService | None:
        """Return the Express service with a name or ARN in a cluster (name, ARN or None for ``default``)."""
        arn = service if service.startswith("arn:") else self._arn(region, parse_cluster_name(cluster), service)
        return self._find_gateway(arn)


def parse_cluster_name(cluster: str | None) -> str:
    """Return the cluster's name from its name or ARN."""
    return (cluster or "default").rpartition("/")[2]


class Deployments(ExpressBase):
    """Service deployments and revisions."""

    def list_service_deployments(self, params: Params, context: CallContext) -> Params:
        """List deployments, newest first, filtered by status and time of creation."""
        gateway = self._find_gateway_by_name(params["service"], params.get("cluster"), context.region)
        if gateway is None:
            return self._forward_to_backend(params, context)
        if gateway.status == "INACTIVE":  # deployments are deleted with their service
            return {"serviceDeployments": []}
        statuses, created_range = params.get("status", []), params.get("createdAt", {})
        shapes = [
            brief_shape(gateway, deployment)
            for deployment in gateway.deployments
            if (not statuses or deployment.status in statuses)
            and ("after" not in created_range or deployment.created_at.timestamp() > created_range["after"].timestamp())
            and (
                "before" not in created_range or deployment.created_at.timestamp() < created_range["before"].timestamp()
            )
        ]
        size, token = params.get("maxResults", _PAGE_SIZE), params.get("nextToken")
        items, next_token = paginate(shapes, size, token, "InvalidParameterException")
        return {"serviceDeployments": items, "nextToken": next_token}

    def describe_service_deployments(self, params: Params, context: CallContext) -> Params:
        """Describe deployments by ARN; report missing ones as failures."""
        deployments_by_arn = {
            deployment.arn: (gateway, deployment)
            for gateway in self._list_gateways(context.region)
            for deployment in gateway.deployments
        }
        return self._describe_many(
            deployments_by_arn, params["serviceDeploymentArns"], "serviceDeployments", deployment_shape, context
        )

    def describe_service_revisions(self, params: Params, context: CallContext) -> Params:
        """Describe revisions by ARN; report missing ones as failures."""
        revisions_by_arn = {
            revision.arn: (gateway, revision)
            for gateway in self._list_gateways(context.region)
            for revision in gateway.revisions
        }
        return self._describe_many(
            revisions_by_arn, params["serviceRevisionArns"], "serviceRevisions", revision_shape, context
        )

    def stop_service_deployment(self, params: Params, context: CallContext) -> Params:
        """Roll back the deployment in progress; do nothing if it is already rolling back."""
        arn = params["serviceDeploymentArn"]
        if params.get("stopType", "ROLLBACK") != "ROLLBACK":
            raise invalid_parameter("The stop type is not supported: use ROLLBACK.")
        gateway, deployment = self._get_deployment(arn, context.region)
        if deployment.is_over:
            raise AwsError("ConflictException", f"The service deployment is {deployment.status} and cannot be stopped.")
        if deployment.status in ("PENDING", "IN_PROGRESS"):
            gateway.request_rollback(deployment)
        return {"serviceDeploymentArn": arn}

    def _describe_many(
        self,
        items_by_arn: dict[str, tuple[GatewayService, T]],
        arns: list[str],
        member: str,
        build_shape: Callable[[GatewayService, T], Params],
        context: CallContext,
    ) -> Params:
        """Return Express items in their shape and the backend's items as the backend describes them."""
        backend_arns, arn_key = [arn for arn in arns if arn not in items_by_arn], f"{member[:-1]}Arn"
        try:
            backend_shapes = context.forward({f"{arn_key}s": backend_arns})[member] if backend_arns else []
        except AwsError:
            backend_shapes = []
        missing_arns = set(backend_arns) - {backend_shape[arn_key] for backend_shape in backend_shapes}
        return {
            member: [*(build_shape(*items_by_arn[arn]) for arn in arns if arn in items_by_arn), *backend_shapes],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in sorted(missing_arns)],
        }

    def _get_deployment(self, arn: str, region: str) -> tuple[GatewayService, Deployment]:
        for gateway in self._list_gateways(region):
            for deployment in gateway.deployments:
                if deployment.arn == arn:
                    return gateway, deployment
        raise AwsError("ServiceDeploymentNotFoundException", f"Service deployment not found: {arn}.")

    def _forward_to_backend(self, params: Params, context: CallContext) -> Params:
        """Return the backend's response for a service of its own. Raises AwsError for an unknown service."""
        cluster_params = {"cluster": parse_cluster_name(params.get("cluster"))}
        response = self.state.call(
            "ecs", "DescribeServices", context.region, services=[params["service"]], **cluster_params
        )
        if not response.get("services"):
            raise AwsError("ServiceNotFoundException", "Service not found.")
        return context.forward(params)
