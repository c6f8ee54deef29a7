"""ECS with Express Mode: gateway services are made, changed, deleted here; what is not Express is the backend's.

Follows botocore's model, AWS's guide, and what others found out: creation answers at once with an ACTIVE service and a
deployment that is under way; a newer update stops it; a deployment that does not become healthy is rolled back to the
last revision that did, and fails where there is none.  Whether it is healthy is told by the process that the emulator
runs for it, where it was told to run services, and by the faults.
"""

from __future__ import annotations

import re
import secrets
import uuid
from collections.abc import Callable

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Params, operation_model
from orchestrator.emulator.service_base import Context, Handler, Trial, Workload
from orchestrator.emulator.services.account_checks import fails, trusts
from orchestrator.emulator.services.constraints import check_constraints
from orchestrator.emulator.services.express.configuration import completed, invalid, refused
from orchestrator.emulator.services.express.deployments import cluster_name
from orchestrator.emulator.services.express.entities import Gateway, Revision, host_of
from orchestrator.emulator.services.express.network import Network
from orchestrator.emulator.services.express.services_and_tags import Listing, tags_of
from orchestrator.emulator.services.express.shapes import gateway_shape, tag_list, updated_shape

HEALTH = {"Protocol": "HTTP", "Interval": 1, "Timeout": 5, "HealthyThreshold": 1, "UnhealthyThreshold": 2, "Grace": 30}
"""The load balancer's, with its times cut: who does not listen is waited for, who answers badly is found out soon."""
_NAME = re.compile(r"[A-Za-z0-9_-]{1,255}")
_TASKS = "ecs-tasks.amazonaws.com"


class Ecs(Listing):
    """Express services, and through them those operations of ECS that tell of them."""

    def handler(self, operation: str) -> Handler | None:
        """The method for an operation; those of Express Mode behind the model's own constraints."""
        found = super().handler(operation)
        if found is None or "Express" not in operation:
            return found

        def checked(params: Params, context: Context) -> Params | Response:
            check_constraints(operation_model("ecs", operation).input_shape, params)
            return found(params, context)

        return checked

    def create_express_gateway_service(self, params: Params, context: Context) -> Params:
        """ACTIVE at once, with a deployment under way; roles must be assumable, the name free in the cluster."""
        region, cluster = context.region, cluster_name(params.get("cluster"))
        name = params.get("serviceName") or f"express-{uuid.uuid4().hex[:8]}"
        if not _NAME.fullmatch(name):
            raise invalid("serviceName must be up to 255 letters, numbers, underscores and hyphens.")
        arn = self._arn(region, cluster, name)
        settings = completed(params)
        self._ensure_cluster(cluster, context)
        self._check_name(arn, cluster, context)
        self._check_roles(settings, params["infrastructureRoleArn"])
        where, role = Network(self.world, region), params["infrastructureRoleArn"]
        network, vpc, access = where.chosen(settings["networkConfiguration"])
        balancer = where.balancer((each.balancer for each in self._all(region)), network, vpc, access)
        group = where.add_service_group(name, balancer, settings["primaryContainer"]["containerPort"])
        made = Gateway(
            name, cluster, arn, host_of(name, region), region, role, tags_of(params), balancer, group, self._pace
        )  # fmt: skip
        made.run = self._runner(made) if self.world.runs is not None else None
        self._log_group(made, settings)
        self._gateways[arn] = made
        self._deploy(made, settings, network)
        return {"service": {**gateway_shape(made), "tags": tag_list(made.tags)}}

    def describe_express_gateway_service(self, params: Params, context: Context) -> Params:
        """By ARN; a deleted one answers INACTIVE."""
        found = self._settled(params["serviceArn"])
        if found is None:
            raise AwsError("ResourceNotFoundException", "The specified resource wasn't found.")
        tags = {"tags": tag_list(found.tags)} if "TAGS" in params.get("include", []) else {}
        return {"service": {**gateway_shape(found), **tags}}

    def update_express_gateway_service(self, params: Params, context: Context) -> Params:
        """A new revision and its deployment, whatever is given; what is not given stays."""
        found = self._active(params["serviceArn"])
        settings = completed(params, found.active[-1].settings)
        self._check_roles(settings, None)
        network, _, __ = Network(self.world, context.region).chosen(settings["networkConfiguration"])
        self._log_group(found, settings)
        return {"service": updated_shape(found, self._deploy(found, settings, network))}

    def delete_express_gateway_service(self, params: Params, context: Context) -> Params:
        """DRAINING, then INACTIVE; its tasks end, its own security group goes."""
        found = self._active(params["serviceArn"])
        found.drain()
        if self.world.runs is not None:
            self.world.runs.stop(found.host)
        return {"service": gateway_shape(found)}

    def _active(self, arn: str) -> Gateway:
        found = self._settled(arn)
        if found is None:
            raise AwsError("ServiceNotFoundException", "Service not found.")
        if found.status == "INACTIVE":
            raise AwsError(
                "ServiceNotActiveException", "Cannot perform this operation on a service in INACTIVE status."
            )
        if found.status == "DRAINING":
            raise AwsError("ServiceNotActiveException", "Service is in DRAINING status.")
        return found

    def _deploy(self, gateway: Gateway, settings: Params, network: Params) -> Revision:
        """A new revision under way.  ECS adds its own group to those that were given."""
        groups = [*network["securityGroups"], *({gateway.group} - {*network["securityGroups"]})]
        settings["networkConfiguration"] = {**network, "securityGroups": groups}
        target = gateway.revise(settings, self._registered(gateway, settings))
        gateway.deploy(target, self._trouble(gateway, settings))
        return target

    def _pace(self) -> float:
        return self.world.settle("ecs")

    def _runner(self, gateway: Gateway) -> Callable[[Revision], Trial]:
        def run(revision: Revision) -> Trial:
            assert self.world.runs is not None
            return self.world.runs.begin(_workload(gateway, revision.settings))

        return run

    def _trouble(self, gateway: Gateway, settings: Params) -> str:
        """Why tasks of these settings will not start or be healthy, as far as that can be told without them."""
        from orchestrator.emulator.container_runtime.secret_values import SecretError, value_of

        container = settings["primaryContainer"]
        if fails(self.world, container["image"]):
            return f"{container['image']} cannot be pulled, or failed its health check"
        for each in container["secrets"]:
            try:
                value_of(self.world, each["valueFrom"], gateway.region)
            except SecretError as error:
                return f"ResourceInitializationError: {error}"
        group = container["awsLogsConfiguration"]["logGroup"]
        found = self.world.call("logs", "DescribeLogGroups", gateway.region, logGroupNamePrefix=group)["logGroups"]
        if group not in {each["logGroupName"] for each in found}:
            return f"ResourceInitializationError: the log group {group} does not exist"
        return ""

    def _check_name(self, arn: str, cluster: str, context: Context) -> None:
        known = self._settled(arn)
        status = known.status if known is not None else ""
        if known is None:
            names = {"cluster": cluster, "services": [arn]}
            others = self.world.call("ecs", "DescribeServices", context.region, **names).get("services", [])
            status = others[0]["status"] if others else ""
        if status == "DRAINING":
            raise invalid("Unable to Start a service that is still Draining.")
        if status == "ACTIVE":
            raise invalid("Creation of service was not idempotent.")

    def _check_roles(self, settings: Params, infrastructure: str | None) -> None:
        if infrastructure is not None and not trusts(self.world, infrastructure, "ecs.amazonaws.com"):
            raise AwsError("AccessDeniedException", f"Cannot assume role {infrastructure}.")
        for name in ("executionRoleArn", "taskRoleArn"):
            if name in settings and not trusts(self.world, settings[name], _TASKS):
                raise refused(f"Role is not valid: {name} {settings[name]} cannot be assumed by {_TASKS}.")

    def _ensure_cluster(self, cluster: str, context: Context) -> None:
        """The cluster ``default`` is made with the first service; any other has to be there."""
        if self._has_cluster(cluster, context.region):
            return
        if cluster != "default":
            raise AwsError("ClusterNotFoundException", "Cluster not found.")
        self.world.call("ecs", "CreateCluster", context.region, clusterName=cluster)

    def _log_group(self, gateway: Gateway, settings: Params) -> None:
        """Without one that was named, a log group of ECS's own."""
        container = settings["primaryContainer"]
        if "awsLogsConfiguration" in container:
            return
        group = f"/aws/ecs/{gateway.cluster}/{gateway.name}-{secrets.token_hex(2)}"
        self.world.call("logs", "CreateLogGroup", gateway.region, logGroupName=group)
        container["awsLogsConfiguration"] = {"logGroup": group, "logStreamPrefix": "ecs"}

    def _registered(self, gateway: Gateway, settings: Params) -> str:
        """The ARN of the task definition that ECS makes of settings."""
        container = settings["primaryContainer"]
        main = {
            "name": "Main",
            "image": container["image"],
            "essential": True,
            "portMappings": [{"containerPort": container["containerPort"], "protocol": "tcp", "name": "main"}],
            **{name: container[name] for name in ("command", "environment", "secrets") if container[name]},
        }
        roles = {name: settings[name] for name in ("executionRoleArn", "taskRoleArn") if name in settings}
        made = self.world.call(
            "ecs",
            "RegisterTaskDefinition",
            gateway.region,
            family=f"{gateway.cluster}-{gateway.name}",
            networkMode="awsvpc",
            requiresCompatibilities=["FARGATE"],
            cpu=settings["cpu"],
            memory=settings["memory"],
            containerDefinitions=[main],
            **roles,
        )
        return str(made["taskDefinition"]["taskDefinitionArn"])


def _workload(gateway: Gateway, settings: Params) -> Workload:
    """What its settings say is to be run."""
    container = settings["primaryContainer"]
    logs = container["awsLogsConfiguration"]
    return Workload(
        gateway.host,
        gateway.region,
        container["image"],
        str(container["containerPort"]),
        {**HEALTH, "Path": settings["healthCheckPath"]},
        arguments=tuple(container["command"]),
        environment={each["name"]: each.get("value", "") for each in container["environment"]},
        secrets={each["name"]: each["valueFrom"] for each in container["secrets"]},
        output=(logs["logGroup"], f"{logs['logStreamPrefix']}/Main"),
    )
