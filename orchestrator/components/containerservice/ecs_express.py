"""``runtime: ecs-express``: three roles, a security group, the service on Fargate behind a load balancer.  Pure.

ECS makes the load balancer, its certificate and its own security group, as the infrastructure role.  The tasks sit in
public subnets, of which two are named: the load balancer has an address to pay for in each.  It scales by itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from orchestrator.components import Stack
from orchestrator.components.containerservice import builders, image
from orchestrator.components.containerservice.alarms import build_server_error_alarm
from orchestrator.components.containerservice.checks import Finding, check_cpu_and_memory
from orchestrator.components.containerservice.injected_secrets import list_injected_secrets, secret_variables
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

SERVICE = "ecs_express_service"
EXECUTION_POLICY_ARN = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
INFRASTRUCTURE_POLICY_ARN = "arn:aws:iam::aws:policy/service-role/AmazonECSInfrastructureRoleforExpressGatewayServices"
TASKS_PRINCIPAL, ECS_PRINCIPAL = "ecs-tasks.amazonaws.com", "ecs.amazonaws.com"
MEMORY_GB_BY_CPU = {
    0.25: (0.5, 1, 2),
    0.5: (1, 2, 3, 4),
    1: (2, 3, 4, 5, 6, 7, 8),
    2: tuple(range(4, 17)),
    4: tuple(range(8, 31)),
}
"""vCPU -> the GB that Fargate offers with it."""
SCALING_METRICS = {"cpu": "AVERAGE_CPU", "memory": "AVERAGE_MEMORY", "requests": "REQUEST_COUNT_PER_TARGET"}
DEFAULT_SCALING_TARGETS = {"cpu": 60, "memory": 60, "requests": 1000}
"""Per cent, or requests a minute and task."""
MAX_PERCENT = 100
IGNORED_SETTINGS = {
    "concurrency": (100, "another task starts by `scaleOn` and `target`"),
    "intervalSeconds": (5, "the load balancer asks every 30 seconds"),
    "timeoutSeconds": (2, "the load balancer waits 5 seconds"),
    "healthyAfter": (1, "the load balancer's own count holds"),
    "unhealthyAfter": (5, "the load balancer's own count holds"),
}
"""What is said to App Runner alone: its default there, and what ECS does instead."""


def check(component: Component) -> Iterator[Finding]:
    """Sizes that it does not offer, and what it has no place for: a promise of the manifest that nobody would keep."""
    yield from check_cpu_and_memory(component, MEMORY_GB_BY_CPU, "Fargate")
    yield from _check_unsupported(component)
    instances = component.spec["instances"]
    target = instances.get("target")
    if instances.get("scaleOn", "cpu") != "requests" and isinstance(target, int) and target > MAX_PERCENT:
        message = f"spec.instances.target {target} is more than 100 per cent"
        yield ("spec", "instances", "target"), message, "say `scaleOn: requests`, if requests a minute are meant"
    command = component.spec.get("command")
    if isinstance(command, str):
        try:
            shlex.split(command)
        except ValueError as error:
            message = f"spec.command cannot be parted into words: {str(error).lower()}"
            yield ("spec", "command"), message, "close the quotes: no shell looks at it"


def _check_unsupported(component: Component) -> Iterator[Finding]:
    spec = component.spec
    if spec["health"]["protocol"] != "HTTP":
        message = "the load balancer of `runtime: ecs-express` asks for a path over HTTP, it does not just connect"
        yield ("spec", "health"), message, "name a path that answers 200: health: {path: /health}"
    if spec["ipv6"] is True:
        message = "`runtime: ecs-express` makes a load balancer that answers over IPv4 only"
        yield ("spec", "ipv6"), message, "remove it; a Cdn in front of it answers over IPv6"
    if spec["tracing"] is True:
        message = "X-Ray's collector would have to run beside the container, and `runtime: ecs-express` runs one only"
        yield ("spec", "tracing"), message, "remove it, or let the application send its traces itself"
    if "encryptionKey" in spec:
        message = "`runtime: ecs-express` keeps no copy of the image or the logs that a key of yours could encrypt"
        yield ("spec", "encryptionKey"), message, "remove it"


def notes(component: Component) -> Iterator[str]:
    """What of the manifest is said to App Runner alone, and what private tasks take."""
    settings = {**component.spec["health"], **component.spec["instances"]}
    ignored_settings = {
        key: explanation
        for key, (default, explanation) in IGNORED_SETTINGS.items()
        if settings.get(key, default) != default
    }
    if ignored_settings:
        details = "; ".join(f"{key}: {explanation}" for key, explanation in ignored_settings.items())
        yield f"{component.handle} says what only App Runner heeds, and ECS Express does otherwise ({details})."
    if component.spec["public"] is False:
        yield (
            f"{component.handle} is not public, so its tasks have no address of their own: to pull the image, write "
            "logs and read secrets their subnets need a NAT gateway (about 35 USD a month) or interface endpoints."
        )


def roles(component: Component, stack: Stack) -> Iterator[Resource]:
    """What the service may do, what starts it (pulls, reads injected secrets), and what makes the load balancer."""
    yield builders.build_role(
        component,
        stack,
        "task",
        TASKS_PRINCIPAL,
        statements=builders.access_statements(stack, component.spec["access"]),
    )
    secret_statements = builders.access_statements(stack, list_injected_secrets(component))
    yield builders.build_role(
        component, stack, "execution", TASKS_PRINCIPAL, attached=[EXECUTION_POLICY_ARN], statements=secret_statements
    )
    yield builders.build_role(component, stack, "infrastructure", ECS_PRINCIPAL, attached=[INFRASTRUCTURE_POLICY_ARN])


def network(component: Component, stack: Stack) -> Iterator[Resource]:
    """Tasks are in the VPC anyway; ECS lets the load balancer in by a group of its own."""
    yield builders.build_security_group(component, stack)


def service(component: Component, stack: Stack) -> Iterator[Resource]:
    """The service, and who is told when it fails."""
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
