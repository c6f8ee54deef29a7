"""Convert an App Runner service between its spec and the API's format, with AWS's defaults and units. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.steps import Outputs
from orchestrator.values import Unknown, Value, join_parts
from orchestrator.vocabulary import POWER_ON

DEFAULTS: Mapping[str, Value] = {
    "usable": True,
    "power": POWER_ON,
    "command": None,
    "environment": {},
    "secrets": {},
    "access_role": None,
    "connector": None,
    "observability": None,
    "encryption_key": None,
    "public": True,
    "ip_address_type": "IPV4",
    "auto_deployments": False,
}
HEALTH_CHECK_FIELDS: Mapping[str, tuple[str, Value]] = {
    "protocol": ("Protocol", "TCP"),
    "path": ("Path", "/"),
    "interval": ("Interval", 5),
    "timeout": ("Timeout", 2),
    "healthy_after": ("HealthyThreshold", 1),
    "unhealthy_after": ("UnhealthyThreshold", 5),
}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with App Runner's defaults and units.

    ``variables`` lists every variable, so that a surplus one is a difference.
    """
    normalised = {**DEFAULTS, **spec}
    sizes: dict[str, Value] = {key: parse_units(normalised[key]) for key in ("cpu", "memory") if key in normalised}
    names = sorted({*normalised["environment"], *normalised["secrets"]})
    health = {**{key: default for key, (_, default) in HEALTH_CHECK_FIELDS.items()}, **normalised.get("health", {})}
    if health["protocol"] == "TCP":  # App Runner then ignores the path
        health["path"] = "/"
    if normalised.get("image_repository_type") == "ECR_PUBLIC":  # AWS keeps the role of an earlier private image
        normalised["access_role"] = None
    return {**normalised, **sizes, "variables": names, "health": health}


def parse_service(service: Mapping[str, Any]) -> dict[str, Value]:
    """Return a DescribeService response as a spec."""
    source, instance, network = (service[f"{part}Configuration"] for part in ("Source", "Instance", "Network"))
    image = source.get("ImageRepository") or {}
    configuration = image.get("ImageConfiguration") or {}
    health = service.get("HealthCheckConfiguration") or {}
    egress = network.get("EgressConfiguration") or {}
    return {
        "image": image.get("ImageIdentifier"),
        "image_repository_type": image.get("ImageRepositoryType"),
        "port": int(configuration.get("Port", 8080)),
        "command": configuration.get("StartCommand"),
        "environment": configuration.get("RuntimeEnvironmentVariables") or {},
        "secrets": configuration.get("RuntimeEnvironmentSecrets") or {},
        "access_role": (source.get("AuthenticationConfiguration") or {}).get("AccessRoleArn"),
        "auto_deployments": source.get("AutoDeploymentsEnabled", False),
        "instance_role": instance.get("InstanceRoleArn"),
        "cpu": instance.get("Cpu", "1024"),
        "memory": instance.get("Memory", "2048"),
        "health": {key: health.get(member, default) for key, (member, default) in HEALTH_CHECK_FIELDS.items()},
        "autoscaling": (service.get("AutoScalingConfigurationSummary") or {}).get("AutoScalingConfigurationArn"),
        "connector": egress.get("VpcConnectorArn"),
        "public": (network.get("IngressConfiguration") or {}).get("IsPubliclyAccessible", True),
        "ip_address_type": network.get("IpAddressType", "IPV4"),
        "observability": (service.get("ObservabilityConfiguration") or {}).get("ObservabilityConfigurationArn"),
        "encryption_key": (service.get("EncryptionConfiguration") or {}).get("KmsKey"),
    }


def build_request(spec: Mapping[str, Value]) -> dict[str, Value]:
    """Return the parameters common to CreateService and UpdateService: the whole spec, so that either sets it all."""
    connector, observability = spec["connector"], spec["observability"]
    egress = {"EgressType": "DEFAULT"} if connector is None else {"EgressType": "VPC", "VpcConnectorArn": connector}
    observability_config: dict[str, Value] = {"ObservabilityEnabled": observability is not None}
    if observability is not None:
        observability_config["ObservabilityConfigurationArn"] = observability
    return {
        "SourceConfiguration": _build_source(spec),
        "InstanceConfiguration": {
            "Cpu": str(spec["cpu"]),
            "Memory": str(spec["memory"]),
            "InstanceRoleArn": spec["instance_role"],
        },
        "AutoScalingConfigurationArn": spec["autoscaling"],
        "HealthCheckConfiguration": {member: spec["health"][key] for key, (member, _) in HEALTH_CHECK_FIELDS.items()},
        "NetworkConfiguration": {
            "EgressConfiguration": egress,
            "IngressConfiguration": {"IsPubliclyAccessible": spec["public"]},
            "IpAddressType": spec["ip_address_type"],
        },
        "ObservabilityConfiguration": observability_config,
    }


def build_outputs(service: Any) -> Outputs:
    """Return the outputs of a service from a DescribeService response, which may still be unknown.

    A service that has no host name yet has neither ``host`` nor ``url``.
    """
    outputs: dict[str, Value] = {"arn": service["ServiceArn"], "id": service["ServiceId"]}
    host = service.get("ServiceUrl")
    if isinstance(host, Unknown) or host:
        outputs |= {"host": host, "url": join_parts(["https://", host])}
    return outputs


def _build_source(spec: Mapping[str, Value]) -> dict[str, Value]:
    configuration = {
        "Port": str(spec["port"]),
        "RuntimeEnvironmentVariables": spec["environment"],
        "RuntimeEnvironmentSecrets": spec["secrets"],
    }
    if spec["command"] is not None:
        configuration["StartCommand"] = spec["command"]
    source = {
        "ImageRepository": {
            "ImageIdentifier": spec["image"],
            "ImageRepositoryType": spec["image_repository_type"],
            "ImageConfiguration": configuration,
        },
        "AutoDeploymentsEnabled": spec["auto_deployments"],
    }
    if spec["access_role"] is not None:
        source["AuthenticationConfiguration"] = {"AccessRoleArn": spec["access_role"]}
    return source


def parse_units(value: Value) -> int:
    """Return CPU units or MiB from ``256``, ``"256"``, ``"0.25 vCPU"`` or ``"0.5 GB"``."""
    amount, _, unit = str(value).partition(" ")
    return int(float(amount) * 1024) if unit else int(amount)
