"""Describe what ECS manages for a revision of an Express service, for DescribeServiceRevisions."""

from __future__ import annotations

import hashlib

from orchestrator.emulator.account_limits import NO_LOAD_BALANCERS_REASON
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.services.express.entities import GatewayService, Revision

_SCALING_METRICS = {
    "AVERAGE_CPU": "ECSServiceAverageCPUUtilization",
    "AVERAGE_MEMORY": "ECSServiceAverageMemoryUtilization",
    "REQUEST_COUNT_PER_TARGET": "ALBRequestCountPerTarget",
}


def managed_resources_shape(gateway: GatewayService, revision: Revision) -> Params:
    """Return the ECSManagedResources shape."""
    scaling = revision.settings["scalingTarget"]
    resource_state = {
        "status": "ACTIVE" if revision in gateway.active_revisions else "DELETED",
        "updatedAt": gateway.updated_at,
    }
    scalable = {"minCapacity": scaling["minTaskCount"], "maxCapacity": scaling["maxTaskCount"]}
    policy = {
        "policyType": "TargetTrackingScaling",
        "targetValue": float(scaling["autoScalingTargetValue"]),
        "metric": _SCALING_METRICS[scaling["autoScalingMetric"]],
    }
    log_group = revision.settings["primaryContainer"]["awsLogsConfiguration"]["logGroup"]
    return {
        "ingressPaths": [_ingress_shape(gateway, revision)],
        "autoScaling": {
            "scalableTarget": {**resource_state, **scalable},
            "applicationAutoScalingPolicies": [{**resource_state, **policy}],
        },
        "serviceSecurityGroups": [{**resource_state, "arn": _security_group_arn(gateway, gateway.security_group)}],
        "logGroups": [{**resource_state, "logGroupName": log_group}],
    }


def _is_stuck(gateway: GatewayService, revision: Revision) -> bool:
    return any(deployment.is_stuck for deployment in gateway.deployments if deployment.target is revision)


def _ingress_shape(gateway: GatewayService, revision: Revision) -> Params:
    """Return the ManagedIngressPath shape: a load balancer shared in the VPC, a certificate per service."""
    balancer, resource_state = gateway.load_balancer, {"status": "ACTIVE", "updatedAt": gateway.created_at}
    if _is_stuck(gateway, revision):
        refused = {"status": "FAILED", "statusReason": NO_LOAD_BALANCERS_REASON, "updatedAt": gateway.created_at}
        return {"accessType": balancer.access, "loadBalancer": refused}
    port = revision.settings["primaryContainer"].get("containerPort", 80)
    return {
        "accessType": balancer.access,
        "endpoint": f"https://{gateway.host}",
        "loadBalancer": {
            **resource_state,
            "arn": balancer.arn,
            "scheme": "internet-facing" if balancer.access == "PUBLIC" else "internal",
            "subnetIds": list(balancer.subnets),
            "securityGroupIds": [balancer.security_group],
        },
        "loadBalancerSecurityGroups": [
            {**resource_state, "arn": _security_group_arn(gateway, balancer.security_group)}
        ],
        "certificate": {**resource_state, "domainName": gateway.host},
        "targetGroups": [
            {
                **resource_state,
                "arn": arn,
                "healthCheckPath": revision.settings["healthCheckPath"],
                "healthCheckPort": port,
                "port": port,
            }
            for arn in _target_group_arns(gateway)
        ],
    }


def _target_group_arns(gateway: GatewayService) -> list[str]:
    """Return the ARNs of the two target groups between which a deployment shifts traffic."""
    prefix = gateway.arn.partition(":service/")[0].replace(":ecs:", ":elasticloadbalancing:")
    digest = hashlib.sha256(gateway.host.encode()).hexdigest()
    return [f"{prefix}:targetgroup/ecs-gateway-tg-{digest[:8]}{side}/{digest[8:23]}{side}" for side in "ab"]


def _security_group_arn(gateway: GatewayService, group_id: str) -> str:
    return f"{gateway.arn.partition(':service/')[0].replace(':ecs:', ':ec2:')}:security-group/{group_id}"
