"""Validate the settings of an App Runner service and fill in AWS's defaults. Pure."""

from __future__ import annotations

from copy import deepcopy

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

CONFIGURATION_MEMBERS = (
    "SourceConfiguration",
    "InstanceConfiguration",
    "EncryptionConfiguration",
    "HealthCheckConfiguration",
    "AutoScalingConfigurationArn",
    "NetworkConfiguration",
    "ObservabilityConfiguration",
)
_DEFAULT_HEALTH_CHECK = {
    "Protocol": "TCP",
    "Path": "/",
    "Interval": 5,
    "Timeout": 2,
    "HealthyThreshold": 1,
    "UnhealthyThreshold": 5,
}
_CPU_UNITS = {"0.25 vCPU": "256", "0.5 vCPU": "512", "1 vCPU": "1024", "2 vCPU": "2048", "4 vCPU": "4096"}
_MEMORY_BY_CPU = {
    "256": ("512", "1024"),
    "512": ("1024",),
    "1024": ("2048", "3072", "4096"),
    "2048": ("4096", "6144"),
    "4096": ("8192", "10240", "12288"),
}


def invalid_request(message: str) -> AwsError:
    """Return the error InvalidRequestException."""
    return AwsError("InvalidRequestException", message)


def fill_defaults(params: Params, current: Params | None = None) -> Params:
    """Return the settings of a new service, or ``current`` updated with ``params``, with defaults filled in.

    Raises AwsError InvalidRequestException for another source kind, an invalid CPU and memory pair, no access role.
    """
    settings = deepcopy(current or {})
    changes = {name: deepcopy(params[name]) for name in CONFIGURATION_MEMBERS if name in params}
    settings["SourceConfiguration"] = _fill_source(
        changes.get("SourceConfiguration"), settings.get("SourceConfiguration")
    )
    settings["InstanceConfiguration"] = _fill_instance(
        {**settings.get("InstanceConfiguration", {}), **changes.get("InstanceConfiguration", {})}
    )
    if "HealthCheckConfiguration" in changes or "HealthCheckConfiguration" not in settings:
        settings["HealthCheckConfiguration"] = {**_DEFAULT_HEALTH_CHECK, **changes.get("HealthCheckConfiguration", {})}
    settings["NetworkConfiguration"] = _fill_network(
        {**settings.get("NetworkConfiguration", {}), **changes.get("NetworkConfiguration", {})}
    )
    for name in ("EncryptionConfiguration", "AutoScalingConfigurationArn", "ObservabilityConfiguration"):
        if name in changes:
            settings[name] = changes[name]
    settings.setdefault("ObservabilityConfiguration", {"ObservabilityEnabled": False})
    return settings


def _fill_source(source: Params | None, current: Params | None) -> Params:
    if source is None:
        if current is None:
            raise invalid_request("SourceConfiguration is required.")
        return current
    repository_kinds = [name for name in ("ImageRepository", "CodeRepository") if name in source]
    if current is not None:
        if not repository_kinds:
            source = {
                **{name: current[name] for name in ("ImageRepository", "CodeRepository") if name in current},
                **source,
            }
        elif repository_kinds[0] not in current:
            raise invalid_request("A service cannot change between an image and a code repository.")
        source = {**{name: current[name] for name in current if name not in source}, **source}
    elif len(repository_kinds) != 1:
        raise invalid_request("SourceConfiguration needs either ImageRepository or CodeRepository.")
    return _fill_image_source(source)


def _fill_image_source(source: Params) -> Params:
    image = source.get("ImageRepository")
    is_private = image is not None and image["ImageRepositoryType"] == "ECR"
    if is_private and not source.get("AuthenticationConfiguration", {}).get("AccessRoleArn"):
        raise invalid_request("Authentication configuration with an access role is required for a private ECR image.")
    source.setdefault("AutoDeploymentsEnabled", is_private or image is None)
    if image is not None:
        if not is_private and source["AutoDeploymentsEnabled"]:
            raise invalid_request("Automatic deployments are not supported for an ECR Public image.")
        image["ImageConfiguration"] = {"Port": "8080", **image.get("ImageConfiguration", {})}
    return source


def _fill_instance(instance: Params) -> Params:
    requested_cpu = str(instance.get("Cpu", "1024"))
    cpu = _CPU_UNITS.get(requested_cpu, requested_cpu)
    memory = str(instance.get("Memory", "2048"))
    if memory.endswith(" GB"):
        memory = str(int(float(memory.removesuffix(" GB")) * 1024))
    if memory not in _MEMORY_BY_CPU.get(cpu, ()):
        raise invalid_request(f"Invalid CPU and memory combination: CPU {cpu} does not support memory {memory}.")
    return {**instance, "Cpu": cpu, "Memory": memory}


def _fill_network(network: Params) -> Params:
    egress = network.get("EgressConfiguration", {"EgressType": "DEFAULT"})
    egress.setdefault("EgressType", "VPC" if "VpcConnectorArn" in egress else "DEFAULT")
    if (egress["EgressType"] == "VPC") != ("VpcConnectorArn" in egress):
        raise invalid_request("VpcConnectorArn and EgressType VPC must be set together.")
    return {
        "EgressConfiguration": egress,
        "IngressConfiguration": {"IsPubliclyAccessible": True, **network.get("IngressConfiguration", {})},
        "IpAddressType": network.get("IpAddressType", "IPV4"),
    }
