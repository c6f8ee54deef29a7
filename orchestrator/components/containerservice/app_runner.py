"""``runtime: app-runner``: two roles, scaling, a connector where there is a database, the service, its alarm.  Pure.

App Runner fetches injected secrets as the service's own role, and nothing of that travels through the VPC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.components import Stack
from orchestrator.components.containerservice import builders, image
from orchestrator.components.containerservice.alarms import server_errors
from orchestrator.components.containerservice.checks import Finding, pairs
from orchestrator.components.containerservice.injected_secrets import injected, variables
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

SERVICE = "apprunner_service"
PULL = "arn:aws:iam::aws:policy/service-role/AWSAppRunnerServicePolicyForECRAccess"
TRACE = "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"
MEMORY = {0.25: (0.5, 1), 0.5: (1,), 1: (2, 3, 4), 2: (4, 6), 4: (8, 10, 12)}
"""vCPU -> the GB that App Runner offers with it."""


def check(component: Component) -> Iterator[Finding]:
    """Sizes that it does not offer, and what only the other runtime knows."""
    yield from pairs(component, MEMORY, "App Runner")
    instances = component.spec["instances"]
    for key in ("scaleOn", "target"):
        if key in instances:
            sentence = f"spec.instances.{key} is of `runtime: ecs-express`: App Runner counts the requests at a time"
            yield ("spec", "instances", key), sentence, "say `concurrency` instead"


def notes(component: Component) -> Iterator[str]:
    """What the VPC costs a service that fetches a secret by itself."""
    fetched = builders.fetched(component)
    if fetched and builders.databases(component):
        names = ", ".join(fetched)
        yield (
            f"{component.handle} reaches everything through the VPC, because it uses a database, and reads {names} by "
            "itself: that call needs an interface endpoint for Secrets Manager (about 8 USD a month and zone) or a NAT "
            "gateway (about 35 USD a month). A secret under `secrets` is injected instead, at no cost; S3 goes through "
            "the free gateway endpoint."
        )


def roles(component: Component, stack: Stack) -> Iterator[Resource]:
    """What the service may do, and what pulls its image."""
    allowed = builders.statements(stack, [*component.spec["access"], *injected(component)])
    attached = [TRACE] if component.spec["tracing"] else []
    tasks = "tasks.apprunner.amazonaws.com"
    yield builders.role(component, stack, "instance", tasks, attached=attached, statements=allowed)
    if image.is_private(component):
        yield builders.role(component, stack, "registry", "build.apprunner.amazonaws.com", attached=[PULL])


def network(component: Component, stack: Stack) -> Iterator[Resource]:
    """A way into the VPC, only where there is a database."""
    if not builders.databases(component):
        return
    yield builders.group(component, stack)
    connector = {
        "subnets": Ref("ec2_vpc.network", "subnets"),
        "security_groups": [Ref(f"ec2_security_group.{component.name}", "id")],
    }
    yield builders.make(component, stack, "apprunner_connector", builders.called(component, stack.scope), connector)


def service(component: Component, stack: Stack) -> Iterator[Resource]:
    """How it scales, the service, and who is told when it fails."""
    physical = builders.called(component, stack.scope)
    instances = component.spec["instances"]
    sizes = {"min_size": instances["min"], "max_size": instances["max"], "max_concurrency": instances["concurrency"]}
    yield builders.make(component, stack, "apprunner_autoscaling", physical, sizes)
    if component.spec["tracing"]:
        yield builders.make(component, stack, "apprunner_observability", physical, {})
    yield builders.make(
        component, stack, SERVICE, physical, _spec(component, stack), after=builders.before(component, stack)
    )
    metric = {
        "namespace": "AWS/AppRunner",
        "metric": "5xxStatusResponses",
        "dimensions": {"ServiceName": physical, "ServiceID": Ref(f"{SERVICE}.{component.name}", "id")},
    }
    yield from server_errors(component, stack, metric)


def _spec(component: Component, stack: Stack) -> dict[str, Value]:
    wanted, name = component.spec, component.name
    private = image.is_private(component)
    return {
        "image": image.reference(component),
        "image_repository_type": "ECR" if private else "ECR_PUBLIC",
        "port": wanted["port"],
        "command": wanted.get("command"),
        "environment": image.environment(component, stack),
        "secrets": variables(component, stack),
        "access_role": Ref(f"iam_role.{name}-registry", "arn") if private else None,
        "instance_role": Ref(f"iam_role.{name}-instance", "arn"),
        "cpu": f"{wanted['cpu']:g} vCPU",
        "memory": f"{wanted['memory']:g} GB",
        "health": _health(wanted["health"]),
        "autoscaling": Ref(f"apprunner_autoscaling.{name}", "arn"),
        "connector": Ref(f"apprunner_connector.{name}", "arn") if builders.databases(component) else None,
        "observability": Ref(f"apprunner_observability.{name}", "arn") if wanted["tracing"] else None,
        "public": wanted["public"],
        "ip_address_type": "DUAL_STACK" if wanted["ipv6"] else "IPV4",
        "auto_deployments": wanted["autoDeploy"],
        "encryption_key": wanted.get("encryptionKey"),
        "log_retention_days": wanted["logs"]["retentionDays"],
    }


def _health(wanted: Mapping[str, Any]) -> Mapping[str, Value]:
    return {
        "protocol": wanted["protocol"],
        "path": wanted["path"],
        "interval": wanted["intervalSeconds"],
        "timeout": wanted["timeoutSeconds"],
        "healthy_after": wanted["healthyAfter"],
        "unhealthy_after": wanted["unhealthyAfter"],
    }
