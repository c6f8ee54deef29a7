"""Validate the settings of an Express service and fill in AWS's defaults. Pure.

Settings have the shape of ``ExpressGatewayServiceConfiguration``. An update replaces whole members of the current
settings: a given container or scaling target inherits nothing from the previous one. In the network configuration,
subnets and groups are two separate members.
"""

from __future__ import annotations

from copy import deepcopy

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

CONFIGURATION_MEMBERS = (
    "executionRoleArn",
    "taskRoleArn",
    "cpu",
    "memory",
    "cpuArchitecture",
    "healthCheckPath",
    "networkConfiguration",
    "primaryContainer",
    "scalingTarget",
)
_DEFAULT_SCALING_TARGET = {
    "minTaskCount": 1,
    "maxTaskCount": 20,
    "autoScalingMetric": "AVERAGE_CPU",
    "autoScalingTargetValue": 60,
}
_DEFAULTS = {"cpu": "256", "memory": "512", "cpuArchitecture": "X86_64", "healthCheckPath": "/ping"}
_GIB_IN_MIB = 1024


def _memory_sizes(min_gib: int, max_gib: int, step: int = 1) -> tuple[str, ...]:
    return tuple(str(size * _GIB_IN_MIB) for size in range(min_gib, max_gib + 1, step))


_MEMORY_BY_CPU = {
    "256": ("512", "1024", "2048"),
    "512": _memory_sizes(1, 4),
    "1024": _memory_sizes(2, 8),
    "2048": _memory_sizes(4, 16),
    "4096": _memory_sizes(8, 30),
    "8192": _memory_sizes(16, 60, 4),
    "16384": _memory_sizes(32, 120, 8),
}
"""Fargate's valid pairs: MiB of memory by CPU units."""


def invalid_parameter(message: str) -> AwsError:
    """Return the error InvalidParameterException."""
    return AwsError("InvalidParameterException", message)


def client_error(message: str) -> AwsError:
    """Return the error ClientException."""
    return AwsError("ClientException", message)


def fill_defaults(params: Params, current: Params | None = None) -> Params:
    """Return the settings of a new service, or ``current`` updated with ``params``, with defaults filled in.

    The network stays as given: the existing subnets and groups are not known here. Raises AwsError
    InvalidParameterException or ClientException.
    """
    if "taskDefinitionArn" in params:
        raise AwsError("UnsupportedFeatureException", "Custom task definitions are not emulated.")
    changes = {name: deepcopy(params[name]) for name in CONFIGURATION_MEMBERS if name in params}
    settings = {**_DEFAULTS, **deepcopy(current or {}), **changes}
    for name in ("executionRoleArn", "primaryContainer"):
        if name not in settings:
            raise invalid_parameter(f"{name} must be specified when taskDefinitionArn is not.")
    settings["cpu"], settings["memory"] = _normalise_size(settings["cpu"], settings["memory"])
    if not settings["healthCheckPath"].startswith("/"):
        raise invalid_parameter("healthCheckPath must start with a forward slash.")
    settings["primaryContainer"] = _fill_container(settings["primaryContainer"])
    current_network = (current or {}).get("networkConfiguration", {})
    settings["networkConfiguration"] = {**current_network, **settings.get("networkConfiguration", {})}
    settings["scalingTarget"] = _fill_scaling(settings.get("scalingTarget", {}))
    return settings


def _normalise_size(cpu: str, memory: str) -> tuple[str, str]:
    if cpu.endswith(" vCPU"):
        cpu = str(int(float(cpu.removesuffix(" vCPU")) * _GIB_IN_MIB))
    if memory.endswith(" GB"):
        memory = str(int(float(memory.removesuffix(" GB")) * _GIB_IN_MIB))
    if memory not in _MEMORY_BY_CPU.get(cpu, ()):
        raise client_error(f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")
    return cpu, memory


def _fill_container(container_params: Params) -> Params:
    """Return a container as it reads back: empty members as empty lists, variables sorted by name."""
    container = {"containerPort": 80, "command": [], **container_params}
    for variable_kind in ("environment", "secrets"):
        names = [item["name"] for item in container_params.get(variable_kind, [])]
        duplicate = next((name for name in names if names.count(name) > 1), None)
        if duplicate is not None:
            raise client_error(f"Duplicate {variable_kind} name '{duplicate}'.")
        container[variable_kind] = sorted(container_params.get(variable_kind, []), key=lambda item: str(item["name"]))
    shared_names = {item["name"] for item in container["environment"]} & {item["name"] for item in container["secrets"]}
    if shared_names:
        message = "The secret name must be unique and not shared with any new or existing environment variables"
        raise client_error(f"{message} set on the container, such as '{min(shared_names)}'.")
    if not 0 < int(container["containerPort"]) < 65536:
        raise invalid_parameter("containerPort must be between 1 and 65535.")
    return container


def _fill_scaling(scaling_params: Params) -> Params:
    scaling = {**_DEFAULT_SCALING_TARGET, **scaling_params}
    if not 0 <= scaling["minTaskCount"] <= scaling["maxTaskCount"]:
        raise invalid_parameter("minTaskCount must not be negative, nor greater than maxTaskCount.")
    return scaling
