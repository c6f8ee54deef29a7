"""The settings of an App Runner service: AWS's defaults filled in, and what AWS refuses.  Pure."""

from __future__ import annotations

from copy import deepcopy

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

MEMBERS = (
    "SourceConfiguration",
    "InstanceConfiguration",
    "EncryptionConfiguration",
    "HealthCheckConfiguration",
    "AutoScalingConfigurationArn",
    "NetworkConfiguration",
    "ObservabilityConfiguration",
)
_HEALTH = {
    "Protocol": "TCP",
    "Path": "/",
    "Interval": 5,
    "Timeout": 2,
    "HealthyThreshold": 1,
    "UnhealthyThreshold": 5,
}
_CPU = {"0.25 vCPU": "256", "0.5 vCPU": "512", "1 vCPU": "1024", "2 vCPU": "2048", "4 vCPU": "4096"}
_MEMORY = {
    "256": ("512", "1024"),
    "512": ("1024",),
    "1024": ("2048", "3072", "4096"),
    "2048": ("4096", "6144"),
    "4096": ("8192", "10240", "12288"),
}


def invalid(message: str) -> AwsError:
    """An InvalidRequestException."""
    return AwsError("InvalidRequestException", message)


def completed(params: Params, current: Params | None = None) -> Params:
    """The settings of a new service, or ``current`` with an update's members laid over it, defaults filled.

    Raises InvalidRequestException for a source of another kind, an invalid cpu and memory pair, a missing access role.
    """
    settings = deepcopy(current or {})
    given = {name: deepcopy(params[name]) for name in MEMBERS if name in params}
    settings["SourceConfiguration"] = _source(given.get("SourceConfiguration"), settings.get("SourceConfiguration"))
    settings["InstanceConfiguration"] = _instance(
        {**settings.get("InstanceConfiguration", {}), **given.get("InstanceConfiguration", {})}
    )
    if "HealthCheckConfiguration" in given or "HealthCheckConfiguration" not in settings:
        settings["HealthCheckConfiguration"] = {**_HEALTH, **given.get("HealthCheckConfiguration", {})}
    settings["NetworkConfiguration"] = _network(
        {**settings.get("NetworkConfiguration", {}), **given.get("NetworkConfiguration", {})}
    )
    for name in ("EncryptionConfiguration", "AutoScalingConfigurationArn", "ObservabilityConfiguration"):
        if name in given:
            settings[name] = given[name]
    settings.setdefault("ObservabilityConfiguration", {"ObservabilityEnabled": False})
    return settings


def _source(given: Params | None, current: Params | None) -> Params:
    if given is None:
        if current is None:
            raise invalid("SourceConfiguration is required.")
        return current
    kinds = [name for name in ("ImageRepository", "CodeRepository") if name in given]
    if current is not None:
        if not kinds:
            given = {
                **{name: current[name] for name in ("ImageRepository", "CodeRepository") if name in current},
                **given,
            }
        elif kinds[0] not in current:
            raise invalid("A service cannot change between an image and a code repository.")
        given = {**{name: current[name] for name in current if name not in given}, **given}
    elif len(kinds) != 1:
        raise invalid("SourceConfiguration needs either ImageRepository or CodeRepository.")
    return _image_defaults(given)


def _image_defaults(source: Params) -> Params:
    image = source.get("ImageRepository")
    private = image is not None and image["ImageRepositoryType"] == "ECR"
    if private and not source.get("AuthenticationConfiguration", {}).get("AccessRoleArn"):
        raise invalid("Authentication configuration with an access role is required for a private ECR image.")
    source.setdefault("AutoDeploymentsEnabled", private or image is None)
    if image is not None:
        if not private and source["AutoDeploymentsEnabled"]:
            raise invalid("Automatic deployments are not supported for an ECR Public image.")
        image["ImageConfiguration"] = {"Port": "8080", **image.get("ImageConfiguration", {})}
    return source


def _instance(given: Params) -> Params:
    asked = str(given.get("Cpu", "1024"))
    cpu = _CPU.get(asked, asked)
    memory = str(given.get("Memory", "2048"))
    if memory.endswith(" GB"):
        memory = str(int(float(memory.removesuffix(" GB")) * 1024))
    if memory not in _MEMORY.get(cpu, ()):
        raise invalid(f"Invalid CPU and memory combination: CPU {cpu} does not support memory {memory}.")
    return {**given, "Cpu": cpu, "Memory": memory}


def _network(given: Params) -> Params:
    egress = given.get("EgressConfiguration", {"EgressType": "DEFAULT"})
    egress.setdefault("EgressType", "VPC" if "VpcConnectorArn" in egress else "DEFAULT")
    if (egress["EgressType"] == "VPC") != ("VpcConnectorArn" in egress):
        raise invalid("A VPC connector goes with EgressType VPC, and only with it.")
    return {
        "EgressConfiguration": egress,
        "IngressConfiguration": {"IsPubliclyAccessible": True, **given.get("IngressConfiguration", {})},
        "IpAddressType": given.get("IpAddressType", "IPV4"),
    }
