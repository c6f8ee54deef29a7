"""Express services as ECS's answers show them: as gateways, as services among others, and their deployments."""

from __future__ import annotations

from copy import deepcopy

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.services.express.entities import Deployment, Gateway, Revision
from orchestrator.emulator.services.express.managed_resources import managed

_CANARY = {
    "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "CANARY",
    "bakeTimeInMinutes": 3,
    "canaryConfiguration": {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 3},
}
_STAGES = ("SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP")


def tag_list(tags: dict[str, str]) -> list[Params]:
    """ECS's list of tags."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def cluster_arn(gateway: Gateway) -> str:
    """The ARN of its cluster."""
    return f"{gateway.arn.partition(':service/')[0]}:cluster/{gateway.cluster}"


def gateway_shape(gateway: Gateway) -> Params:
    """The ECSExpressGatewayService shape, without tags."""
    current = gateway.current
    return {
        "cluster": cluster_arn(gateway),
        "serviceName": gateway.name,
        "serviceArn": gateway.arn,
        "infrastructureRoleArn": gateway.infrastructure_role,
        "status": {"statusCode": gateway.status},
        "currentDeployment": current.arn if current else None,
        "activeConfigurations": [configuration(gateway, each) for each in gateway.active],
        "createdAt": gateway.created,
        "updatedAt": gateway.updated,
    }


def updated_shape(gateway: Gateway, target: Revision) -> Params:
    """The UpdatedExpressGatewayService shape."""
    members = ("serviceArn", "cluster", "serviceName", "status", "createdAt", "updatedAt")
    shape = gateway_shape(gateway)
    return {**{name: shape[name] for name in members}, "targetConfiguration": configuration(gateway, target)}


def configuration(gateway: Gateway, revision: Revision) -> Params:
    """The ExpressGatewayServiceConfiguration shape.

    Like AWS it tells a new service's address without ``https://`` at first.
    """
    is_new = gateway.current is not None and gateway.current.source is None
    return {
        "serviceRevisionArn": revision.arn,
        "taskDefinitionArn": revision.task_definition,
        **deepcopy(revision.settings),
        "ingressPaths": [
            {"accessType": gateway.balancer.access, "endpoint": gateway.host if is_new else f"https://{gateway.host}"}
        ],
        "createdAt": revision.created,
    }


def service_shape(gateway: Gateway) -> Params:
    """The Service shape: the task definition of an Express service stands in its deployments only."""
    current = gateway.current
    tasks = [_summary(gateway, each) for each in gateway.active]
    latest = gateway.active[-1] if gateway.active else gateway.deployments[0].target
    return {
        "serviceArn": gateway.arn,
        "serviceName": gateway.name,
        "clusterArn": cluster_arn(gateway),
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": gateway.status,
        "desiredCount": tasks[-1]["requestedTaskCount"] if tasks else 0,
        "runningCount": sum(each["runningTaskCount"] for each in tasks),
        "pendingCount": sum(each["pendingTaskCount"] for each in tasks),
        "launchType": "FARGATE",
        "platformVersion": "LATEST",
        "platformFamily": "Linux",
        "deploymentConfiguration": _CANARY,
        "deployments": [_rollout(gateway, each) for each in reversed(gateway.active)],
        "events": _events(gateway),
        "createdAt": gateway.created,
        "currentServiceDeployment": current.arn if current else None,
        "currentServiceRevisions": tasks,
        "networkConfiguration": _network(latest),
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": True,
        "propagateTags": "SERVICE",
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": "ENABLED",
        "resourceManagementType": "ECS",
    }


def deployment_shape(gateway: Gateway, deployment: Deployment) -> Params:
    """The ServiceDeployment shape."""
    brief = brief_shape(gateway, deployment)
    target = brief.pop("targetServiceRevisionArn")
    ended, stopped = deployment.finished, deployment.status == "STOPPED"
    rollback = deployment.rolled_back and {
        "reason": deployment.why,
        "startedAt": deployment.rolled_back,
        "serviceRevisionArn": deployment.source.arn if deployment.source else None,
    }
    return {
        **brief,
        "updatedAt": deployment.updated,
        "stoppedAt": ended if stopped else None,
        "sourceServiceRevisions": [_summary(gateway, each) for each in (deployment.source,) if each is not None],
        "targetServiceRevision": {**_summary(gateway, deployment.target), "arn": target},
        "lifecycleStage": _stage(deployment),
        "deploymentConfiguration": _CANARY,
        "rollback": rollback,
        "deploymentCircuitBreaker": {
            "status": "TRIGGERED" if deployment.why and deployment.rolled_back else "MONITORING",
            "failureCount": 3 if deployment.rolled_back else 0,
            "threshold": 3,
        },
    }


def brief_shape(gateway: Gateway, deployment: Deployment) -> Params:
    """The ServiceDeploymentBrief shape."""
    return {
        "serviceDeploymentArn": deployment.arn,
        "serviceArn": gateway.arn,
        "clusterArn": cluster_arn(gateway),
        "startedAt": deployment.started,
        "createdAt": deployment.created,
        "finishedAt": deployment.finished,
        "targetServiceRevisionArn": deployment.target.arn,
        "status": deployment.status,
        "statusReason": deployment.reason or None,
    }


def revision_shape(gateway: Gateway, revision: Revision) -> Params:
    """The ServiceRevision shape, with what ECS manages for it."""
    return {
        "serviceRevisionArn": revision.arn,
        "serviceArn": gateway.arn,
        "clusterArn": cluster_arn(gateway),
        "taskDefinition": revision.task_definition,
        "launchType": "FARGATE",
        "platformVersion": "LATEST",
        "platformFamily": "Linux",
        "networkConfiguration": _network(revision),
        "containerImages": [{"containerName": "Main", "image": revision.settings["primaryContainer"]["image"]}],
        "createdAt": revision.created,
        "ecsManagedResources": managed(gateway, revision),
    }


def _wanted(revision: Revision) -> int:
    return int(revision.settings["scalingTarget"]["minTaskCount"])


def _count(gateway: Gateway, revision: Revision) -> int:
    """Its running tasks: none before they were found healthy, and none once it is turned back."""
    newest = gateway.deployments[0]
    if gateway.status != "ACTIVE" or revision not in gateway.active:
        return 0
    if revision is newest.target and newest.status != "SUCCESSFUL":
        well = newest.trial is None or bool(newest.trial.verdict)
        return _wanted(revision) if newest.status == "IN_PROGRESS" and well and not newest.fails else 0
    return _wanted(revision)


def _summary(gateway: Gateway, revision: Revision) -> Params:
    wanted = _wanted(revision) if revision in gateway.active and gateway.status == "ACTIVE" else 0
    running = _count(gateway, revision)
    return {
        "arn": revision.arn,
        "requestedTaskCount": wanted,
        "runningTaskCount": running,
        "pendingTaskCount": wanted - running,
    }


def _stage(deployment: Deployment) -> str | None:
    if deployment.status != "IN_PROGRESS":
        return None
    if deployment.trial is not None and deployment.trial.verdict is None:
        return _STAGES[0]
    return _STAGES[min(len(_STAGES) - 1, int(deployment.share * len(_STAGES)))]


def _network(revision: Revision) -> Params:
    return {"awsvpcConfiguration": {**revision.settings["networkConfiguration"], "assignPublicIp": "ENABLED"}}


def _rollout(gateway: Gateway, revision: Revision) -> Params:
    newest = gateway.deployments[0]
    is_primary = newest.target is revision if gateway.current else True
    tasks = _summary(gateway, revision)
    return {
        "id": f"ecs-svc/{revision.arn.rpartition('/')[2]}",
        "status": "PRIMARY" if is_primary else "ACTIVE",
        "taskDefinition": revision.task_definition,
        "desiredCount": tasks["requestedTaskCount"],
        "pendingCount": tasks["pendingTaskCount"],
        "runningCount": tasks["runningTaskCount"],
        "createdAt": revision.created,
        "updatedAt": gateway.updated,
        "launchType": "FARGATE",
        "networkConfiguration": _network(revision),
        "rolloutState": "IN_PROGRESS" if is_primary and gateway.current else "COMPLETED",
    }


def _events(gateway: Gateway) -> list[Params]:
    """Newest first: how each deployment ended, and why a container did not become healthy."""
    found = []
    for each in gateway.deployments:
        if each.is_over:
            said = "completed" if each.status == "SUCCESSFUL" else f"failed: {each.reason}"
            found.append((each.arn, f"(deployment {each.arn.rpartition('/')[2]}) deployment {said}", each.updated))
        if each.why:
            found.append((f"{each.arn}/why", f"task failed to start or to stay healthy: {each.why}", each.updated))
    return [
        {"id": key, "createdAt": at, "message": f"(service {gateway.name}) {message}"} for key, message, at in found
    ]
