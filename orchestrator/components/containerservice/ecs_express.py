"""``runtime: ecs-express``: three roles, a security group, the service on Fargate behind a load balancer.  Pure.

ECS makes the load balancer, its certificate and its own security group, as the infrastructure role.  The tasks sit in
public subnets, of which two are named: the load balancer has an address to pay for in each.  It scales by itself.
"""

from __future__ import annotations

import shlex
from collections.abc import Iterator

from orchestrator.components import Stack
from orchestrator.components.containerservice import builders, image
from orchestrator.components.containerservice.alarms import server_errors
from orchestrator.components.containerservice.checks import Finding, pairs
from orchestrator.components.containerservice.injected_secrets import injected, variables
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

SERVICE = "ecs_express_service"
EXECUTION = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
INFRASTRUCTURE = "arn:aws:iam::aws:policy/service-role/AmazonECSInfrastructureRoleforExpressGatewayServices"
TASKS, ECS = "ecs-tasks.amazonaws.com", "ecs.amazonaws.com"
MEMORY = {
    0.25: (0.5, 1, 2),
    0.5: (1, 2, 3, 4),
    1: (2, 3, 4, 5, 6, 7, 8),
    2: tuple(range(4, 17)),
    4: tuple(range(8, 31)),
}
"""vCPU -> the GB that Fargate offers with it."""
METRICS = {"cpu": "AVERAGE_CPU", "memory": "AVERAGE_MEMORY", "requests": "REQUEST_COUNT_PER_TARGET"}
TARGETS = {"cpu": 60, "memory": 60, "requests": 1000}
"""Per cent, or requests a minute and task."""
FULL = 100
OTHERWISE = {
    "concurrency": (100, "another task starts by `scaleOn` and `target`"),
    "intervalSeconds": (5, "the load balancer asks every 30 seconds"),
    "timeoutSeconds": (2, "the load balancer waits 5 seconds"),
    "healthyAfter": (1, "the load balancer's own count holds"),
    "unhealthyAfter": (5, "the load balancer's own count holds"),
}
"""What is said to App Runner alone: its default there, and what ECS does instead."""


def check(component: Component) -> Iterator[Finding]:
    """Sizes that it does not offer, and what it has no place for: a promise of the manifest that nobody would keep."""
    yield from pairs(component, MEMORY, "Fargate")
    yield from _unable(component)
    instances = component.spec["instances"]
    target = instances.get("target")
    if instances.get("scaleOn", "cpu") != "requests" and isinstance(target, int) and target > FULL:
        sentence = f"spec.instances.target {target} is more than 100 per cent"
        yield ("spec", "instances", "target"), sentence, "say `scaleOn: requests`, if requests a minute are meant"
    command = component.spec.get("command")
    if isinstance(command, str):
        try:
            shlex.split(command)
        except ValueError as error:
            sentence = f"spec.command cannot be parted into words: {str(error).lower()}"
            yield ("spec", "command"), sentence, "close the quotes: no shell looks at it"


def _unable(component: Component) -> Iterator[Finding]:
    wanted = component.spec
    if wanted["health"]["protocol"] != "HTTP":
        sentence = "the load balancer of `runtime: ecs-express` asks for a path over HTTP, it does not just connect"
        yield ("spec", "health"), sentence, "name a path that answers 200: health: {path: /health}"
    if wanted["ipv6"] is True:
        sentence = "`runtime: ecs-express` makes a load balancer that answers over IPv4 only"
        yield ("spec", "ipv6"), sentence, "remove it; a Cdn in front of it answers over IPv6"
    if wanted["tracing"] is True:
        sentence = "X-Ray's collector would have to run beside the container, and `runtime: ecs-express` runs one only"
        yield ("spec", "tracing"), sentence, "remove it, or let the application send its traces itself"
    if "encryptionKey" in wanted:
        sentence = "`runtime: ecs-express` keeps no copy of the image or the logs that a key of yours could encrypt"
        yield ("spec", "encryptionKey"), sentence, "remove it"


def notes(component: Component) -> Iterator[str]:
    """What of the manifest is said to App Runner alone, and what private tasks take."""
    said = {**component.spec["health"], **component.spec["instances"]}
    idle = {key: why for key, (default, why) in OTHERWISE.items() if said.get(key, default) != default}
    if idle:
        told = "; ".join(f"{key}: {why}" for key, why in idle.items())
        yield f"{component.handle} says what only App Runner heeds, and ECS Express does otherwise ({told})."
    if component.spec["public"] is False:
        yield (
            f"{component.handle} is not public, so its tasks have no address of their own: to pull the image, write "
            "logs and read secrets their subnets need a NAT gateway (about 35 USD a month) or interface endpoints."
        )


def roles(component: Component, stack: Stack) -> Iterator[Resource]:
    """What the service may do, what starts it (pulls, reads injected secrets), and what makes the load balancer."""
    yield builders.role(
        component, stack, "task", TASKS, statements=builders.statements(stack, component.spec["access"])
    )
    reading = builders.statements(stack, injected(component))
    yield builders.role(component, stack, "execution", TASKS, attached=[EXECUTION], statements=reading)
    yield builders.role(component, stack, "infrastructure", ECS, attached=[INFRASTRUCTURE])


def network(component: Component, stack: Stack) -> Iterator[Resource]:
    """Tasks are in the VPC anyway; ECS lets the load balancer in by a group of its own."""
    yield builders.group(component, stack)


def service(component: Component, stack: Stack) -> Iterator[Resource]:
    """The service, and who is told when it fails."""
    physical = builders.called(component, stack.scope)
    yield builders.make(
        component, stack, SERVICE, physical, _spec(component, stack), after=builders.before(component, stack)
    )
    metric = {
        "namespace": "AWS/ApplicationELB",
        "metric": "HTTPCode_Target_5XX_Count",
        "dimensions": {"LoadBalancer": Ref(f"{SERVICE}.{component.name}", "load_balancer")},
    }
    yield from server_errors(component, stack, metric, " (with whatever else is behind its load balancer)")


def _spec(component: Component, stack: Stack) -> dict[str, Value]:
    wanted, name = component.spec, component.name
    command = wanted.get("command")
    return {
        "image": image.reference(component),
        "port": wanted["port"],
        "command": shlex.split(command) if isinstance(command, str) else [],
        "environment": image.environment(component, stack),
        "secrets": variables(component, stack),
        "task_role": Ref(f"iam_role.{name}-task", "arn"),
        "execution_role": Ref(f"iam_role.{name}-execution", "arn"),
        "infrastructure_role": Ref(f"iam_role.{name}-infrastructure", "arn"),
        "cpu": round(wanted["cpu"] * 1024),
        "memory": round(wanted["memory"] * 1024),
        "health_path": wanted["health"]["path"],
        "scaling": _scaling(component),
        "subnets": Ref("ec2_vpc.network", "public_subnets" if wanted["public"] else "private_subnets"),
        "security_groups": [Ref(f"ec2_security_group.{name}", "id")],
        "log_group": f"/ecs/{builders.called(component, stack.scope)}",
        "log_retention_days": wanted["logs"]["retentionDays"],
    }


def _scaling(component: Component) -> dict[str, Value]:
    instances = component.spec["instances"]
    on = instances.get("scaleOn", "cpu")
    target = instances.get("target", TARGETS[on])
    return {"min": instances["min"], "max": instances["max"], "metric": METRICS[on], "target": target}
