"""An Express service's spec: what AWS adds by itself left out, and the shape of the API around it.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from orchestrator.steps import Outputs
from orchestrator.values import Value, canonical, join

CLUSTER = "default"
NO_BALANCER = "not-named-by-ecs"
STREAMS = "service"
"""What the log streams' names begin with."""
DEFAULTS: Mapping[str, Value] = {
    "settled": True,
    "command": [],
    "environment": {},
    "secrets": {},
    "architecture": "X86_64",
    "task_role": None,
}
SETS = ("subnets", "security_groups")
SCALING = {
    "min": ("minTaskCount", 1),
    "max": ("maxTaskCount", 20),
    "metric": ("autoScalingMetric", "AVERAGE_CPU"),
    "target": ("autoScalingTargetValue", 60),
}
"""The spec's word -> the API's, and what AWS takes where nothing is said (developer guide)."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """AWS's defaults; ``variables`` names every variable, so that one too many is a difference."""
    settled = {**DEFAULTS, **spec}
    sets = {key: canonical(settled[key]) for key in SETS if isinstance(settled.get(key), list)}
    names = sorted({*settled["environment"], *settled["secrets"]})
    return {**settled, **sets, "variables": names}


def settings(service: Mapping[str, Any], configuration: Mapping[str, Any], groups: Iterable[str]) -> dict[str, Value]:
    """DescribeExpressGatewayService's answer as a spec: its newest ``configuration``, with ``groups`` that are ours."""
    container = configuration.get("primaryContainer") or {}
    network = configuration.get("networkConfiguration") or {}
    scaling = configuration.get("scalingTarget") or {}
    return {
        "image": container.get("image"),
        "port": container.get("containerPort", 80),
        "command": container.get("command") or [],
        "environment": {one["name"]: one.get("value", "") for one in container.get("environment") or ()},
        "secrets": {one["name"]: one["valueFrom"] for one in container.get("secrets") or ()},
        "log_group": (container.get("awsLogsConfiguration") or {}).get("logGroup"),
        "task_role": configuration.get("taskRoleArn"),
        "execution_role": configuration.get("executionRoleArn"),
        "infrastructure_role": service.get("infrastructureRoleArn"),
        "cpu": int(configuration.get("cpu") or 0),
        "memory": int(configuration.get("memory") or 0),
        "architecture": configuration.get("cpuArchitecture", "X86_64"),
        "health_path": configuration.get("healthCheckPath", "/ping"),
        "scaling": {key: scaling.get(member, default) for key, (member, default) in SCALING.items()},
        "subnets": network.get("subnets") or [],
        "security_groups": list(groups),
    }


def newest(service: Mapping[str, Any]) -> Mapping[str, Any]:
    """The configuration that is wanted of a service: while it deploys, AWS lists the one before it, too."""
    found = service.get("activeConfigurations") or [{}]
    return max(found, key=lambda one: (str(one.get("createdAt", "")), str(one.get("serviceRevisionArn", ""))))


def body(spec: Mapping[str, Value]) -> dict[str, Value]:
    """What creating and updating have in common: the whole of a spec, so that either sets all of it."""
    container = {
        "image": spec["image"],
        "containerPort": spec["port"],
        "command": spec["command"],
        "environment": [{"name": name, "value": value} for name, value in spec["environment"].items()],
        "secrets": [{"name": name, "valueFrom": where} for name, where in spec["secrets"].items()],
        "awsLogsConfiguration": {"logGroup": spec["log_group"], "logStreamPrefix": STREAMS},
    }
    given = {"taskRoleArn": spec["task_role"]} if spec["task_role"] is not None else {}
    return {
        **given,
        "primaryContainer": container,
        "executionRoleArn": spec["execution_role"],
        "healthCheckPath": spec["health_path"],
        "cpu": str(spec["cpu"]),
        "memory": str(spec["memory"]),
        "cpuArchitecture": spec["architecture"],
        "networkConfiguration": {"subnets": spec["subnets"], "securityGroups": spec["security_groups"]},
        "scalingTarget": {member: spec["scaling"][key] for key, (member, _) in SCALING.items()},
    }


def outputs(arn: Value, host: Value, balancer: Value) -> Outputs:
    """What others may refer to; ``balancer`` is the load balancer as CloudWatch calls it."""
    return {"arn": arn, "host": host, "url": join(["https://", host]), "load_balancer": balancer}


def host_of(service: Mapping[str, Any]) -> str:
    """The name under which it answers; AWS writes it with ``https://`` or without.  Empty while there is none."""
    paths = newest(service).get("ingressPaths") or [{}]
    endpoint = str(paths[0].get("endpoint", ""))
    return urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").netloc


def balancer_of(answer: Mapping[str, Any]) -> str:
    """``app/NAME/ID`` of the load balancer, out of DescribeServiceRevisions' answer, or NO_BALANCER.

    Who asks for it makes an alarm, and an alarm that watches nothing yet is better than a deployment that fails for it.
    """
    revisions = answer.get("serviceRevisions") or [{}]
    paths = (revisions[0].get("ecsManagedResources") or {}).get("ingressPaths") or [{}]
    named = str((paths[0].get("loadBalancer") or {}).get("arn", "")).rpartition(":loadbalancer/")[2]
    return named or NO_BALANCER
