"""Build the shapes in which ECS returns Express services: gateways, services, deployments."""

from __future__ import annotations

from copy import deepcopy

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.services.express.entities import Deployment, GatewayService, Revision
from orchestrator.emulator.services.express.managed_resources import managed_resources_shape

_CANARY_CONFIGURATION = {
    "deploymentCircuitBreaker": {"enable": True, "rollback": True},
    "maximumPercent": 200,
    "minimumHealthyPercent": 100,
    "strategy": "CANARY",
    "bakeTimeInMinutes": 3,
    "canaryConfiguration": {"canaryPercent": 5.0, "canaryBakeTimeInMinutes": 3},
}
_LIFECYCLE_STAGES = ("SCALE_UP", "PRODUCTION_TRAFFIC_SHIFT", "BAKE_TIME", "CLEAN_UP")


def to_tag_list(tags: dict[str, str]) -> list[Params]:
    """Return ECS's list of tags."""
    return [{"key": key, "value": value} for key, value in tags.items()]


def cluster_arn_of(gateway: GatewayService) -> str:
    """Return the ARN of a service's cluster."""
    return f"{gateway.arn.partition(':service/')[0]}:cluster/{gateway.cluster}"


def gateway_shape(gateway: GatewayService) -> Params:
    """Return the ECSExpressGatewayService shape, without tags."""
    current = gateway.current_deployment
    return {
        "cluster": cluster_arn_of(gateway),
        "serviceName": gateway.name,
        "serviceArn": gateway.arn,
        "infrastructureRoleArn": gateway.infrastructure_role,
        "status": {"statusCode": gateway.status},
        "currentDeployment": current.arn if current else None,
        "activeConfigurations": [configuration_shape(gateway, revision) for revision in gateway.active_revisions],
        "createdAt": gateway.created_at,
        "updatedAt": gateway.updated_at,
    }


def updated_shape(gateway: GatewayService, target: Revision) -> Params:
    """Return the UpdatedExpressGatewayService shape."""
    members = ("serviceArn", "cluster", "serviceName", "status", "createdAt", "updatedAt")
    shape = gateway_shape(gateway)
    return {**{name: shape[name] for name in members}, "targetConfiguration": configuration_shape(gateway, target)}


def configuration_shape(gateway: GatewayService, revision: Revision) -> Params:
    """Return the ExpressGatewayServiceConfiguration shape.

    As on AWS, the endpoint of a new service lacks ``https://`` at first.
    """
    is_new = gateway.current_deployment is not None and gateway.current_deployment.source is None
    return {
        "serviceRevisionArn": revision.arn,
        "taskDefinitionArn": revision.task_definition,
        **deepcopy(revision.settings),
        "ingressPaths": [
            {
                "accessType": gateway.load_balancer.access,
                "endpoint": gateway.host if is_new else f"https://{gateway.host}",
            }
        ],
        "createdAt": revision.created_at,
    }


def service_shape(gateway: GatewayService) -> Params:
    """Return the Service shape; the task definition of an Express service is in its deployments only."""
    current = gateway.current_deployment
    tasks = [_revision_summary(gateway, item) for item in gateway.active_revisions]
    latest = gateway.active_revisions[-1] if gateway.active_revisions else gateway.deployments[0].target
    return {
        "serviceArn": gateway.arn,
        "serviceName": gateway.name,
        "clusterArn": cluster_arn_of(gateway),
        "loadBalancers": [],
        "serviceRegistries": [],
        "status": gateway.status,
        "desiredCount": tasks[-1]["requestedTaskCount"] if tasks else 0,
        "runningCount": sum(item["runningTaskCount"] for item in tasks),
        "pendingCount": sum(item["pendingTaskCount"] for item in tasks),
        "launchType": "FARGATE",
        "platformVersion": "LATEST",
        "platformFamily": "Linux",
        "deploymentConfiguration": _CANARY_CONFIGURATION,
        "deployments": [_deployment_summary(gateway, item) for item in reversed(gateway.active_revisions)],
        "events": _list_events(gateway),
        "createdAt": gateway.created_at,
        "currentServiceDeployment": current.arn if current else None,
        "currentServiceRevisions": tasks,
        "networkConfiguration": _network_shape(latest),
        "schedulingStrategy": "REPLICA",
        "deploymentController": {"type": "ECS"},
        "enableECSManagedTags": True,
        "propagateTags": "SERVICE",
        "enableExecuteCommand": False,
        "availabilityZoneRebalancing": "ENABLED",
        "resourceManagementType": "ECS",
    }


def deployment_shape(gateway: GatewayService, deployment: Deployment) -> Params:
    """Return the ServiceDeployment shape."""
    shape = brief_shape(gateway, deployment)
    target = shape.pop("targetServiceRevisionArn")
    finished_at, is_stopped = deployment.finished_at, deployment.status == "STOPPED"
    rollback = deployment.rolled_back_at and {
        "reason": deployment.failure_reason,
        "startedAt": deployment.rolled_back_at,
        "serviceRevisionArn": deployment.source.arn if deployment.source else None,
    }
    return {
        **shape,
        "updatedAt": deployment.updated_at,
        "stoppedAt": finished_at if is_stopped else None,
        "sourceServiceRevisions": [
            _revision_summary(gateway, revision) for revision in (deployment.source,) if revision is not None
        ],
        "targetServiceRevision": {**_revision_summary(gateway, deployment.target), "arn": target},
        "lifecycleStage": _lifecycle_stage(deployment),
        "deploymentConfiguration": _CANARY_CONFIGURATION,
        "rollback": rollback,
        "deploymentCircuitBreaker": {
            "status": "TRIGGERED" if deployment.failure_reason and deployment.rolled_back_at else "MONITORING",
            "failureCount": 3 if deployment.rolled_back_at else 0,
            "threshold": 3,
        },
    }


def brief_shape(gateway: GatewayService, deployment: Deployment) -> Params:
    """Return the ServiceDeploymentBrief shape."""
    return {
        "serviceDeploymentArn": deployment.arn,
        "serviceArn": gateway.arn,
        "clusterArn": cluster_arn_of(gateway),
        "startedAt": deployment.started_at,
        "createdAt": deployment.created_at,
        "finishedAt": deployment.finished_at,
        "targetServiceRevisionArn": deployment.target.arn,
        "status": deployment.status,
        "statusReason": deployment.status_reason or None,
    }


def revision_shape(gateway: GatewayService, revision: Revision) -> Params:
    """Return the ServiceRevision shape, with the resources that ECS manages for it."""
    return {
        "serviceRevisionArn": revision.arn,
        "serviceArn": gateway.arn,
        "clusterArn": cluster_arn_of(gateway),
        "taskDefinition": revision.task_definition,
        "launchType": "FARGATE",
        "platformVersion": "LATEST",
        "platformFamily": "Linux",
        "networkConfiguration": _network_shape(revision),
        "containerImages": [{"containerName": "Main", "image": revision.settings["primaryContainer"]["image"]}],
        "createdAt": revision.created_at,
        "ecsManagedResources": managed_resources_shape(gateway, revision),
    }


def _desired_count(revision: Revision) -> int:
    return int(revision.settings["scalingTarget"]["minTaskCount"])


def _running_count(gateway: GatewayService, revision: Revision) -> int:
    """Return the number of running tasks: 0 before they are healthy, and 0 after a rollback."""
    newest = gateway.deployments[0]
    if gateway.status != "ACTIVE" or revision not in gateway.active_revisions:
        return 0
    if revision is newest.target and newest.status != "SUCCESSFUL":
        is_healthy = newest.start_attempt is None or bool(newest.start_attempt.is_healthy)
        return (
            _desired_count(revision)
            if newest.status == "IN_PROGRESS" and is_healthy and not newest.expected_failure
            else 0
        )
    return _desired_count(revision)


def _revision_summary(gateway: GatewayService, revision: Revision) -> Params:
    desired = _desired_count(revision) if revision in gateway.active_revisions and gateway.status == "ACTIVE" else 0
    running_count = _running_count(gateway, revision)
    return {
        "arn": revision.arn,
        "requestedTaskCount": desired,
        "runningTaskCount": running_count,
        "pendingTaskCount": desired - running_count,
    }


def _lifecycle_stage(deployment: Deployment) -> str | None:
    if deployment.status != "IN_PROGRESS":
        return None
    if deployment.start_attempt is not None and deployment.start_attempt.is_healthy is None:
        return _LIFECYCLE_STAGES[0]
    return _LIFECYCLE_STAGES[min(len(_LIFECYCLE_STAGES) - 1, int(deployment.elapsed_fraction * len(_LIFECYCLE_STAGES)))]


def _network_shape(revision: Revision) -> Params:
    return {"awsvpcConfiguration": {**revision.settings["networkConfiguration"], "assignPublicIp": "ENABLED"}}


def _deployment_summary(gateway: GatewayService, revision: Revision) -> Params:
    newest = gateway.deployments[0]
    is_primary = newest.target is revision if gateway.current_deployment else True
    tasks = _revision_summary(gateway, revision)
    return {
        "id": f"ecs-svc/{revision.arn.rpartition('/')[2]}",
        "status": "PRIMARY" if is_primary else "ACTIVE",
        "taskDefinition": revision.task_definition,
        "desiredCount": tasks["requestedTaskCount"],
        "pendingCount": tasks["pendingTaskCount"],
        "runningCount": tasks["runningTaskCount"],
        "createdAt": revision.created_at,
        "updatedAt": gateway.updated_at,
        "launchType": "FARGATE",
        "networkConfiguration": _network_shape(revision),
        "rolloutState": "IN_PROGRESS" if is_primary and gateway.current_deployment else "COMPLETED",
    }


def _list_events(gateway: GatewayService) -> list[Params]:
    """Return the events, newest first: how each deployment ended, and why a container was not healthy."""
    events = []
    for deployment in gateway.deployments:
        if deployment.is_over:
            result = "completed" if deployment.status == "SUCCESSFUL" else f"failed: {deployment.status_reason}"
            events.append(
                (
                    deployment.arn,
                    f"(deployment {deployment.arn.rpartition('/')[2]}) deployment {result}",
                    deployment.updated_at,
                )
            )
        if deployment.failure_reason:
            events.append(
                (
                    f"{deployment.arn}/why",
                    f"task failed to start or to stay healthy: {deployment.failure_reason}",
                    deployment.updated_at,
                )
            )
    return [
        {"id": event_id, "createdAt": created_at, "message": f"(service {gateway.name}) {message}"}
        for event_id, message, created_at in events
    ]
