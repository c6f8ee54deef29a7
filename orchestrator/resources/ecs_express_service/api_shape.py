"""Convert an Express service between its spec and the API's format, without what AWS adds by itself. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any
from urllib.parse import urlsplit

from orchestrator.steps import Outputs
from orchestrator.values import Unknown, Value, join_parts, sort_canonically

CLUSTER_NAME = "default"
LOG_STREAM_PREFIX = "service"
"""Prefix of the log stream names."""
DEFAULTS: Mapping[str, Value] = {
    "settled": True,
    "command": [],
    "environment": {},
    "secrets": {},
    "architecture": "X86_64",
    "task_role": None,
}
UNORDERED_FIELDS = ("subnets", "security_groups")
SCALING_MEMBERS = {
    "min": ("minTaskCount", 1),
    "max": ("maxTaskCount", 20),
    "metric": ("autoScalingMetric", "AVERAGE_CPU"),
    "target": ("autoScalingTargetValue", 60),
}
"""API member and AWS default (developer guide) by spec field."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with AWS's defaults.

    ``variables`` lists every variable, so that a surplus one is a difference.
    """
    normalised = {**DEFAULTS, **spec}
    sorted_fields = {
        key: sort_canonically(normalised[key]) for key in UNORDERED_FIELDS if isinstance(normalised.get(key), list)
    }
    names = sorted({*normalised["environment"], *normalised["secrets"]})
    return {**normalised, **sorted_fields, "variables": names}


def parse_service(
    service: Mapping[str, Any], configuration: Mapping[str, Any], groups: Iterable[str]
) -> dict[str, Value]:
    """Return a DescribeExpressGatewayService response as a spec.

    ``configuration`` is the newest one of the service, ``groups`` the security groups set by users.
    """
    container = configuration.get("primaryContainer") or {}
    network = configuration.get("networkConfiguration") or {}
    scaling = configuration.get("scalingTarget") or {}
    return {
        "image": container.get("image"),
        "port": container.get("containerPort", 80),
        "command": container.get("command") or [],
        "environment": {item["name"]: item.get("value", "") for item in container.get("environment") or ()},
        "secrets": {item["name"]: item["valueFrom"] for item in container.get("secrets") or ()},
        "log_group": (container.get("awsLogsConfiguration") or {}).get("logGroup"),
        "task_role": configuration.get("taskRoleArn"),
        "execution_role": configuration.get("executionRoleArn"),
        "infrastructure_role": service.get("infrastructureRoleArn"),
        "cpu": int(configuration.get("cpu") or 0),
        "memory": int(configuration.get("memory") or 0),
        "architecture": configuration.get("cpuArchitecture", "X86_64"),
        "health_path": configuration.get("healthCheckPath", "/ping"),
        "scaling": {key: scaling.get(member, default) for key, (member, default) in SCALING_MEMBERS.items()},
        "subnets": network.get("subnets") or [],
        "security_groups": list(groups),
    }


def newest_configuration(service: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the configuration requested last; during a deployment AWS also lists the previous one."""
    configurations = service.get("activeConfigurations") or [{}]
    return max(
        configurations, key=lambda item: (str(item.get("createdAt", "")), str(item.get("serviceRevisionArn", "")))
    )


def build_request(spec: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parameters common to creation and update: the whole spec, so that either sets all of it."""
    container = {
        "image": spec["image"],
        "containerPort": spec["port"],
        "command": spec["command"],
        "environment": [{"name": name, "value": value} for name, value in spec["environment"].items()],
        "secrets": [{"name": name, "valueFrom": value_from} for name, value_from in spec["secrets"].items()],
        "awsLogsConfiguration": {"logGroup": spec["log_group"], "logStreamPrefix": LOG_STREAM_PREFIX},
    }
    role_fields = {"taskRoleArn": spec["task_role"]} if spec["task_role"] is not None else {}
    return {
        **role_fields,
        "primaryContainer": container,
        "executionRoleArn": spec["execution_role"],
        "healthCheckPath": spec["health_path"],
        "cpu": str(spec["cpu"]),
        "memory": str(spec["memory"]),
        "cpuArchitecture": spec["architecture"],
        "networkConfiguration": {"subnets": spec["subnets"], "securityGroups": spec["security_groups"]},
        "scalingTarget": {member: spec["scaling"][key] for key, (member, _) in SCALING_MEMBERS.items()},
    }


def build_outputs(arn: Value, host: Value, load_balancer: Value) -> Outputs:
    """Return the outputs of a service, without those that AWS has not told; ``load_balancer``: its CloudWatch name."""
    outputs: dict[str, Value] = {"arn": arn}
    if isinstance(host, Unknown) or host:
        outputs |= {"host": host, "url": join_parts(["https://", host])}
    if isinstance(load_balancer, Unknown) or load_balancer:
        outputs["load_balancer"] = load_balancer
    return outputs


def parse_host(service: Mapping[str, Any]) -> str:
    """Return the host name of a service, or "" while it has none. AWS returns it with or without ``https://``."""
    paths = newest_configuration(service).get("ingressPaths") or [{}]
    endpoint = str(paths[0].get("endpoint", ""))
    return urlsplit(endpoint if "//" in endpoint else f"//{endpoint}").netloc


def find_refusal(response: Mapping[str, Any]) -> str:
    """Return AWS's reason why it cannot create the load balancer of a DescribeServiceRevisions response, or ""."""
    revisions = response.get("serviceRevisions") or [{}]
    paths = (revisions[0].get("ecsManagedResources") or {}).get("ingressPaths") or [{}]
    load_balancer = paths[0].get("loadBalancer") or {}
    return str(load_balancer.get("statusReason") or "FAILED") if load_balancer.get("status") == "FAILED" else ""


def parse_load_balancer(response: Mapping[str, Any]) -> str:
    """Return ``app/NAME/ID`` of the load balancer from a DescribeServiceRevisions response, or "" if it has none."""
    revisions = response.get("serviceRevisions") or [{}]
    paths = (revisions[0].get("ecsManagedResources") or {}).get("ingressPaths") or [{}]
    return str((paths[0].get("loadBalancer") or {}).get("arn", "")).rpartition(":loadbalancer/")[2]
