"""Build a service on ECS Express Mode, with Fargate behind a load balancer (``runtime: ecs-express``).  Pure.

It has three roles, a security group, the service and its alarm.  ECS creates the load balancer, its certificate and its
security group with the infrastructure role, and scales the service.  Tasks run in two public subnets: the load balancer
has a billed address in each.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from orchestrator.components import Stack
from orchestrator.components.containerservice import builders, image
from orchestrator.components.containerservice.alarms import build_server_error_alarm
from orchestrator.components.containerservice.checks import Finding, check_cpu_and_memory
from orchestrator.components.containerservice.injected_secrets import list_injected_secrets, secret_variables
from orchestrator.components.containerservice.migration import list_task_secrets
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

SERVICE = "ecs_express_service"
INFRASTRUCTURE_POLICY_ARN = "arn:aws:iam::aws:policy/service-role/AmazonECSInfrastructureRoleforExpressGatewayServices"
ECS_PRINCIPAL = "ecs.amazonaws.com"
MEMORY_GB_BY_CPU = {
    0.25: (0.5, 1, 2),
    0.5: (1, 2, 3, 4),
    1: (2, 3, 4, 5, 6, 7, 8),
    2: tuple(range(4, 17)),
    4: tuple(range(8, 31)),
}
"""Memory sizes in GB that Fargate offers, by vCPU."""
SCALING_METRICS = {"cpu": "AVERAGE_CPU", "memory": "AVERAGE_MEMORY", "requests": "REQUEST_COUNT_PER_TARGET"}
DEFAULT_SCALING_TARGETS = {"cpu": 60, "memory": 60, "requests": 1000}
"""Percent, or requests per minute and task."""
MAX_PERCENT = 100
IGNORED_SETTINGS = {
    "concurrency": (100, "tasks scale by `scaleOn` and `target`"),
    "intervalSeconds": (5, "the load balancer checks every 30 seconds"),
    "timeoutSeconds": (2, "the load balancer waits 5 seconds"),
    "healthyAfter": (1, "the load balancer uses its own count"),
    "unhealthyAfter": (5, "the load balancer uses its own count"),
}
"""Settings of App Runner only: the default there, and what ECS does instead."""


def check(component: Component) -> Iterator[Finding]:
    """Yield sizes that Fargate does not offer, and settings that ECS Express does not support."""
    yield from check_cpu_and_memory(component, MEMORY_GB_BY_CPU, "Fargate")
    yield from _check_unsupported(component)
    instances = component.spec["instances"]
    target = instances.get("target")
    if instances.get("scaleOn", "cpu") != "requests" and isinstance(target, int) and target > MAX_PERCENT:
        message = f"spec.instances.target {target} is more than 100 percent"
        yield ("spec", "instances", "target"), message, "set `scaleOn: requests` to scale by requests per minute"
    command = component.spec.get("command")
    if isinstance(command, str):
        try:
            shlex.split(command)
        except ValueError as error:
            message = f"spec.command cannot be split into words: {str(error).lower()}"
            yield ("spec", "command"), message, "close the quotes: the command runs without a shell"


def _check_unsupported(component: Component) -> Iterator[Finding]:
    spec = component.spec
    if spec["health"]["protocol"] != "HTTP":
        message = "`runtime: ecs-express` requires an HTTP health check with a path"
        yield ("spec", "health"), message, "set a path that returns 200: `health: {path: /health}`"
    if spec["ipv6"] is True:
        message = "the load balancer of `runtime: ecs-express` supports IPv4 only"
        yield ("spec", "ipv6"), message, "remove it, or put a Cdn in front of the service: CloudFront supports IPv6"
    if spec["tracing"] is True:
        message = "tracing needs a second container for the X-Ray collector, and `runtime: ecs-express` runs only one"
        yield ("spec", "tracing"), message, "remove it, or have the application send its own traces"
    if "encryptionKey" in spec:
        message = "`runtime: ecs-express` stores no copy of the image or the logs that this key could encrypt"
        yield ("spec", "encryptionKey"), message, "remove it"


def notes(component: Component) -> Iterator[str]:
    """Yield notes about settings that only App Runner uses, and about the network needs of private tasks."""
    settings = {**component.spec["health"], **component.spec["instances"]}
    ignored_settings = {
        key: explanation
        for key, (default, explanation) in IGNORED_SETTINGS.items()
        if settings.get(key, default) != default
    }
    if ignored_settings:
        details = "; ".join(f"{key}: {explanation}" for key, explanation in ignored_settings.items())
        yield f"{component.handle} has settings that only App Runner uses and ECS Express ignores ({details})."
    if component.spec["public"] is False:
        yield (
            f"{component.handle} is not public, so its tasks have no public IP address: to pull the image, write logs "
            "and read secrets, their subnets require a NAT gateway (about 35 USD per month) or interface endpoints."
        )


def roles(component: Component, stack: Stack) -> Iterator[Resource]:
    """Yield the roles of the task, of its execution (pulls, reads injected secrets) and of the load balancer."""
    secrets = [*list_injected_secrets(component), *list_task_secrets(component)]
    yield from builders.build_task_roles(component, stack, secrets)
    yield builders.build_role(component, stack, "infrastructure", ECS_PRINCIPAL, attached=[INFRASTRUCTURE_POLICY_ARN])


def network(component: Component, stack: Stack) -> Iterator[Resource]:
    """Yield the security group of the tasks; ECS allows the load balancer through a group of its own."""
    yield builders.build_security_group(component, stack)


def service(component: Component, stack: Stack) -> Iterator[Resource]:
    """Yield the service and its alarm."""
    physical = builders.service_name(component, stack.scope)
    yield builders.build_resource(
        component,
        stack,
        SERVICE,
        physical,
        _service_spec(component, stack),
        after=builders.list_prerequisites(component, stack),
    )
    metric = {
        "namespace": "AWS/ApplicationELB",
        "metric": "HTTPCode_Target_5XX_Count",
        "dimensions": {"LoadBalancer": Ref(f"{SERVICE}.{component.name}", "load_balancer")},
    }
    yield from build_server_error_alarm(component, stack, metric, " (with whatever else is behind its load balancer)")


def _service_spec(component: Component, stack: Stack) -> dict[str, Value]:
    manifest_spec, name = component.spec, component.name
    command = manifest_spec.get("command")
    return {
        "image": image.image_reference(component),
        "port": manifest_spec["port"],
        "command": shlex.split(command) if isinstance(command, str) else [],
        "environment": image.environment_variables(component, stack),
        "secrets": secret_variables(component, stack),
        "task_role": Ref(f"iam_role.{name}-task", "arn"),
        "execution_role": Ref(f"iam_role.{name}-execution", "arn"),
        "infrastructure_role": Ref(f"iam_role.{name}-infrastructure", "arn"),
        "cpu": round(manifest_spec["cpu"] * 1024),
        "memory": round(manifest_spec["memory"] * 1024),
        "health_path": manifest_spec["health"]["path"],
        "scaling": _scaling_spec(component),
        "subnets": Ref("ec2_vpc.network", "public_subnets" if manifest_spec["public"] else "private_subnets"),
        "security_groups": [Ref(f"ec2_security_group.{name}", "id")],
        "log_group": f"/ecs/{builders.service_name(component, stack.scope)}",
        "log_retention_days": manifest_spec["logs"]["retentionDays"],
    }


def _scaling_spec(component: Component) -> dict[str, Value]:
    instances = component.spec["instances"]
    metric = instances.get("scaleOn", "cpu")
    target = instances.get("target", DEFAULT_SCALING_TARGETS[metric])
    return {"min": instances["min"], "max": instances["max"], "metric": SCALING_METRICS[metric], "target": target}
