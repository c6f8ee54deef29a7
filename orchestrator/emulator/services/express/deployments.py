"""ECS's reads of deployments and revisions, and the one write: turning a deployment back.

Services that are not Express are the backend's.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import Context, Service, World
from orchestrator.emulator.services.express.configuration import invalid
from orchestrator.emulator.services.express.entities import Deployment, Gateway
from orchestrator.emulator.services.express.network import Network
from orchestrator.emulator.services.express.shapes import brief_shape, deployment_shape, revision_shape
from orchestrator.emulator.services.pagination import page

T = TypeVar("T")
_PAGE = 100


class Base(Service):
    """What all operations share: the services by ARN."""

    service = "ecs"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._gateways: dict[str, Gateway] = {}

    def _arn(self, region: str, cluster: str, name: str) -> str:
        return f"arn:aws:ecs:{region}:{self.world.account}:service/{cluster}/{name}"

    def _settled(self, arn: str) -> Gateway | None:
        """An Express service as it is now; a deleted one answers as INACTIVE until its name is used again."""
        found = self._gateways.get(arn)
        if found is not None:
            before = found.status
            found.settle()
            if before != found.status == "INACTIVE":
                self._dismantle(found)
        return found

    def _dismantle(self, gone: Gateway) -> None:
        """Remove a service's own group, and with the last service of a load balancer that."""
        network = Network(self.world, gone.region)
        network.remove_group(gone.group)
        others = (each for each in self._gateways.values() if each.status != "INACTIVE")
        if all(each.balancer is not gone.balancer for each in others):
            network.remove_balancer(gone.balancer)

    def _all(self, region: str) -> list[Gateway]:
        """Those of a region that are not gone, settled, in order of creation."""
        found = [self._settled(arn) for arn in list(self._gateways)]
        return [each for each in found if each is not None and each.region == region and each.status != "INACTIVE"]

    def _named(self, service: str, cluster: str | None, region: str) -> Gateway | None:
        """The Express service that a name or ARN in a cluster (name or ARN, ``default``) means."""
        arn = service if service.startswith("arn:") else self._arn(region, cluster_name(cluster), service)
        return self._settled(arn)


def cluster_name(cluster: str | None) -> str:
    """The name in a cluster's name or ARN."""
    return (cluster or "default").rpartition("/")[2]


class Deployments(Base):
    """Service deployments and revisions."""

    def list_service_deployments(self, params: Params, context: Context) -> Params:
        """Newest first, by status and time of creation."""
        gateway = self._named(params["service"], params.get("cluster"), context.region)
        if gateway is None:
            return self._forwarded(params, context)
        if gateway.status == "INACTIVE":  # deployments go with their service
            return {"serviceDeployments": []}
        statuses, created = params.get("status", []), params.get("createdAt", {})
        found = [
            brief_shape(gateway, each)
            for each in gateway.deployments
            if (not statuses or each.status in statuses)
            and ("after" not in created or each.created.timestamp() > created["after"].timestamp())
            and ("before" not in created or each.created.timestamp() < created["before"].timestamp())
        ]
        size, token = params.get("maxResults", _PAGE), params.get("nextToken")
        items, following = page(found, size, token, "InvalidParameterException")
        return {"serviceDeployments": items, "nextToken": following}

    def describe_service_deployments(self, params: Params, context: Context) -> Params:
        """By ARN; those that are not there are failures."""
        known = {each.arn: (gateway, each) for gateway in self._all(context.region) for each in gateway.deployments}
        return self._found(known, params["serviceDeploymentArns"], "serviceDeployments", deployment_shape, context)

    def describe_service_revisions(self, params: Params, context: Context) -> Params:
        """By ARN, likewise."""
        known = {each.arn: (gateway, each) for gateway in self._all(context.region) for each in gateway.revisions}
        return self._found(known, params["serviceRevisionArns"], "serviceRevisions", revision_shape, context)

    def stop_service_deployment(self, params: Params, context: Context) -> Params:
        """Roll back what is under way; what is being turned back already goes on being."""
        arn = params["serviceDeploymentArn"]
        if params.get("stopType", "ROLLBACK") != "ROLLBACK":
            raise invalid("The stop type is not supported: ROLLBACK is.")
        gateway, found = self._deployment(arn, context.region)
        if found.is_over:
            raise AwsError("ConflictException", f"The service deployment is {found.status} and cannot be stopped.")
        if found.status in ("PENDING", "IN_PROGRESS"):
            gateway.turn_back(found)
        return {"serviceDeploymentArn": arn}

    def _found(
        self,
        known: dict[str, tuple[Gateway, T]],
        arns: list[str],
        member: str,
        shape: Callable[[Gateway, T], Params],
        context: Context,
    ) -> Params:
        """Those of Express services in their shape, and what the backend says of others, where it knows of such."""
        rest, one = [arn for arn in arns if arn not in known], f"{member[:-1]}Arn"
        try:
            others = context.forward({f"{one}s": rest})[member] if rest else []
        except AwsError:
            others = []
        missing = set(rest) - {each[one] for each in others}
        return {
            member: [*(shape(*known[arn]) for arn in arns if arn in known), *others],
            "failures": [{"arn": arn, "reason": "MISSING"} for arn in sorted(missing)],
        }

    def _deployment(self, arn: str, region: str) -> tuple[Gateway, Deployment]:
        for gateway in self._all(region):
            for each in gateway.deployments:
                if each.arn == arn:
                    return gateway, each
        raise AwsError("ServiceDeploymentNotFoundException", f"Service deployment not found: {arn}.")

    def _forwarded(self, params: Params, context: Context) -> Params:
        """The backend's answer for a service of its own; one that nobody knows is not there."""
        named = {"cluster": cluster_name(params.get("cluster"))}
        found = self.world.call("ecs", "DescribeServices", context.region, services=[params["service"]], **named)
        if not found.get("services"):
            raise AwsError("ServiceNotFoundException", "Service not found.")
        return context.forward(params)
