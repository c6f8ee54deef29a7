"""What ECS manages for a revision of an Express service, as DescribeServiceRevisions lists it."""

from __future__ import annotations

from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.services.express.entities import Gateway, Revision

_METRICS = {
    "AVERAGE_CPU": "ECSServiceAverageCPUUtilization",
    "AVERAGE_MEMORY": "ECSServiceAverageMemoryUtilization",
    "REQUEST_COUNT_PER_TARGET": "ALBRequestCountPerTarget",
}


def managed(gateway: Gateway, revision: Revision) -> Params:
    """The ECSManagedResources shape."""
    scaling = revision.settings["scalingTarget"]
    state = {"status": "ACTIVE" if revision in gateway.active else "DELETED", "updatedAt": gateway.updated}
    scalable = {"minCapacity": scaling["minTaskCount"], "maxCapacity": scaling["maxTaskCount"]}
    policy = {
        "policyType": "TargetTrackingScaling",
        "targetValue": float(scaling["autoScalingTargetValue"]),
        "metric": _METRICS[scaling["autoScalingMetric"]],
    }
    group = revision.settings["primaryContainer"]["awsLogsConfiguration"]["logGroup"]
    return {
        "ingressPaths": [_ingress(gateway)],
        "autoScaling": {
            "scalableTarget": {**state, **scalable},
            "applicationAutoScalingPolicies": [{**state, **policy}],
        },
        "serviceSecurityGroups": [{**state, "arn": _group_arn(gateway, gateway.group)}],
        "logGroups": [{**state, "logGroupName": group}],
    }


def _ingress(gateway: Gateway) -> Params:
    """The ManagedIngressPath shape: the load balancer is the services' of a VPC, the certificate a service's own."""
    balancer, state = gateway.balancer, {"status": "ACTIVE", "updatedAt": gateway.created}
    return {
        "accessType": balancer.access,
        "endpoint": f"https://{gateway.host}",
        "loadBalancer": {
            **state,
            "arn": balancer.arn,
            "scheme": "internet-facing" if balancer.access == "PUBLIC" else "internal",
            "subnetIds": list(balancer.subnets),
            "securityGroupIds": [balancer.group],
        },
        "loadBalancerSecurityGroups": [{**state, "arn": _group_arn(gateway, balancer.group)}],
        "certificate": {**state, "domainName": gateway.host},
    }


def _group_arn(gateway: Gateway, group: str) -> str:
    return f"{gateway.arn.partition(':service/')[0].replace(':ecs:', ':ec2:')}:security-group/{group}"
