"""The settings of an Express service: AWS's defaults filled in, and what AWS refuses.  Pure.

They are kept in the shape of ``ExpressGatewayServiceConfiguration``.  An update lays what it gives over what there is,
whole members at a time: a container or a scaling target that is given takes nothing from the one before.  Of the
network, subnets and groups are two members.
"""

from __future__ import annotations

from copy import deepcopy

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params

MEMBERS = (
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
_SCALING = {"minTaskCount": 1, "maxTaskCount": 20, "autoScalingMetric": "AVERAGE_CPU", "autoScalingTargetValue": 60}
_DEFAULTS = {"cpu": "256", "memory": "512", "cpuArchitecture": "X86_64", "healthCheckPath": "/ping"}
_GIGABYTE = 1024


def _sizes(least: int, most: int, step: int = 1) -> tuple[str, ...]:
    return tuple(str(size * _GIGABYTE) for size in range(least, most + 1, step))


_MEMORY = {
    "256": ("512", "1024", "2048"),
    "512": _sizes(1, 4),
    "1024": _sizes(2, 8),
    "2048": _sizes(4, 16),
    "4096": _sizes(8, 30),
    "8192": _sizes(16, 60, 4),
    "16384": _sizes(32, 120, 8),
}
"""Fargate's pairs: MiB of memory by CPU units."""


def invalid(message: str) -> AwsError:
    """An InvalidParameterException."""
    return AwsError("InvalidParameterException", message)


def refused(message: str) -> AwsError:
    """A ClientException."""
    return AwsError("ClientException", message)


def completed(params: Params, current: Params | None = None) -> Params:
    """The settings of a new service, or ``current`` with an update's members laid over it, defaults filled.

    The network is as given: which subnets and groups there are is not known here.  Raises InvalidParameterException
    and ClientException.
    """
    if "taskDefinitionArn" in params:
        raise AwsError("UnsupportedFeatureException", "Task definitions of one's own are not emulated.")
    given = {name: deepcopy(params[name]) for name in MEMBERS if name in params}
    settings = {**_DEFAULTS, **deepcopy(current or {}), **given}
    for name in ("executionRoleArn", "primaryContainer"):
        if name not in settings:
            raise invalid(f"{name} must be specified when taskDefinitionArn is not.")
    settings["cpu"], settings["memory"] = _size(settings["cpu"], settings["memory"])
    if not settings["healthCheckPath"].startswith("/"):
        raise invalid("healthCheckPath must start with a forward slash.")
    settings["primaryContainer"] = _container(settings["primaryContainer"])
    before = (current or {}).get("networkConfiguration", {})
    settings["networkConfiguration"] = {**before, **settings.get("networkConfiguration", {})}
    settings["scalingTarget"] = _scaling(settings.get("scalingTarget", {}))
    return settings


def _size(cpu: str, memory: str) -> tuple[str, str]:
    if cpu.endswith(" vCPU"):
        cpu = str(int(float(cpu.removesuffix(" vCPU")) * _GIGABYTE))
    if memory.endswith(" GB"):
        memory = str(int(float(memory.removesuffix(" GB")) * _GIGABYTE))
    if memory not in _MEMORY.get(cpu, ()):
        raise refused(f"No Fargate configuration exists for given values: {cpu} CPU, {memory} memory.")
    return cpu, memory


def _container(given: Params) -> Params:
    """As it reads back: what is empty is an empty list, and variables come in the order of their names."""
    container = {"containerPort": 80, "command": [], **given}
    for kind in ("environment", "secrets"):
        names = [each["name"] for each in given.get(kind, [])]
        twice = next((name for name in names if names.count(name) > 1), None)
        if twice is not None:
            raise refused(f"Duplicate {kind} name '{twice}'.")
        container[kind] = sorted(given.get(kind, []), key=lambda each: str(each["name"]))
    shared = {each["name"] for each in container["environment"]} & {each["name"] for each in container["secrets"]}
    if shared:
        message = "The secret name must be unique and not shared with any new or existing environment variables"
        raise refused(f"{message} set on the container, such as '{min(shared)}'.")
    if not 0 < int(container["containerPort"]) < 65536:
        raise invalid("containerPort must be between 1 and 65535.")
    return container


def _scaling(given: Params) -> Params:
    scaling = {**_SCALING, **given}
    if not 0 <= scaling["minTaskCount"] <= scaling["maxTaskCount"]:
        raise invalid("minTaskCount must not be negative, nor greater than maxTaskCount.")
    return scaling
