"""Build a service on AWS App Runner (``runtime: app-runner``).  Pure.

It has two roles, scaling, a VPC connector if it uses a database, the service and its alarm.  App Runner fetches
injected secrets with the service's own role and not through the VPC.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.components import Stack
from orchestrator.components.containerservice import builders, image
from orchestrator.components.containerservice.alarms import build_server_error_alarm
from orchestrator.components.containerservice.checks import Finding, check_cpu_and_memory
from orchestrator.components.containerservice.injected_secrets import list_injected_secrets, secret_variables
from orchestrator.components.containerservice.migration import list_task_secrets, runs_in_vpc
from orchestrator.values import Ref, Value, WriteOnly
from orchestrator.vocabulary import Component, Resource

SERVICE = "apprunner_service"
ECR_ACCESS_POLICY_ARN = "arn:aws:iam::aws:policy/service-role/AWSAppRunnerServicePolicyForECRAccess"
XRAY_WRITE_POLICY_ARN = "arn:aws:iam::aws:policy/AWSXRayDaemonWriteAccess"
MEMORY_GB_BY_CPU = {0.25: (0.5, 1), 0.5: (1,), 1: (2, 3, 4), 2: (4, 6), 4: (8, 10, 12)}
"""Memory sizes in GB that App Runner offers, by vCPU."""


def check(component: Component) -> Iterator[Finding]:
    """Yield sizes that App Runner does not offer, and settings that only the other runtime has."""
    yield from check_cpu_and_memory(component, MEMORY_GB_BY_CPU, "App Runner")
    for name, value in component.spec["environment"].items():
        if isinstance(value, str) and ("\n" in value or "\r" in value):
            message = f"App Runner does not accept the line break in {name}"
            yield (
                ("spec", "environment", name),
                message,
                "use a Secret, or write `\\n` and replace it in the application",
            )
    instances = component.spec["instances"]
    for key in ("scaleOn", "target"):
        if key in instances:
            message = f"spec.instances.{key} requires `runtime: ecs-express`: App Runner scales by concurrent requests"
            yield ("spec", "instances", key), message, "use `concurrency` instead"


def notes(component: Component) -> Iterator[str]:
    """Yield why a service that uses a database cannot read its secrets by itself, and the two ways out."""
    secret_handles = builders.list_accessed_secrets(component)
    if not secret_handles or not builders.list_databases(component):
        return
    names = ", ".join(secret_handles)
    missing = [handle for handle in secret_handles if handle not in list_injected_secrets(component)]
    way_out = (
        f"Inject it instead, at no cost: add {', '.join(missing)} to `secrets` and remove the call"
        if missing
        else "Its values are injected already, so remove the call"
    )
    yield (
        f"{component.handle} uses a database, so all its traffic goes through the VPC, which has no route to the "
        f"internet. If the application itself reads {names} from Secrets Manager (in .NET: AddSecretsManager), it "
        f"cannot start. {way_out}, or add an interface endpoint for Secrets Manager (about 8 USD per month and zone) "
        "or a NAT "
        "gateway (about 35 USD per month) to the VPC. S3 uses the free gateway endpoint."
    )


def roles(component: Component, stack: Stack) -> Iterator[Resource]:
    """Yield the role of the service and the role that pulls its image."""
    allowed_statements = builders.access_statements(
        stack, [*component.spec["access"], *list_injected_secrets(component)]
    )
    attached = [XRAY_WRITE_POLICY_ARN] if component.spec["tracing"] else []
    tasks_principal = "tasks.apprunner.amazonaws.com"
    yield builders.build_role(
        component, stack, "instance", tasks_principal, attached=attached, statements=allowed_statements
    )
    if image.is_private(component):
        yield builders.build_role(
            component, stack, "registry", "build.apprunner.amazonaws.com", attached=[ECR_ACCESS_POLICY_ARN]
        )
    if runs_in_vpc(component):
        yield from builders.build_task_roles(component, stack, list_task_secrets(component))


def network(component: Component, stack: Stack) -> Iterator[Resource]:
    """Yield the security group and the VPC connector, if it uses a database.

    The database's own group is the connector's alternate one: it lets in connections to the database's port, which no
    service listens on.
    """
    databases = builders.list_databases(component)
    if not databases:
        return
    yield builders.build_security_group(component, stack)
    connector = {
        "subnets": Ref("ec2_vpc.network", "subnets"),
        "security_groups": [Ref(f"ec2_security_group.{component.name}", "id")],
        "alternate_group": WriteOnly(Ref(f"ec2_security_group.{databases[0].partition('.')[2]}", "id")),
    }
    yield builders.build_resource(
        component, stack, "apprunner_connector", builders.part_name(component, stack.scope), connector
    )


def service(component: Component, stack: Stack) -> Iterator[Resource]:
    """Yield the scaling configuration, the service and its alarm."""
    physical, part_name = builders.service_name(component, stack.scope), builders.part_name(component, stack.scope)
    instances = component.spec["instances"]
    autoscaling_spec = {
        "min_size": instances["min"],
        "max_size": instances["max"],
        "max_concurrency": instances["concurrency"],
    }
    yield builders.build_resource(component, stack, "apprunner_autoscaling", part_name, autoscaling_spec)
    if component.spec["tracing"]:
        yield builders.build_resource(component, stack, "apprunner_observability", part_name, {})
    yield builders.build_resource(
        component,
        stack,
        SERVICE,
        physical,
        _service_spec(component, stack),
        after=builders.list_prerequisites(component, stack),
    )
    metric = {
        "namespace": "AWS/AppRunner",
        "metric": "5xxStatusResponses",
        "dimensions": {"ServiceName": physical, "ServiceID": Ref(f"{SERVICE}.{component.name}", "id")},
    }
    yield from build_server_error_alarm(component, stack, metric)


def _service_spec(component: Component, stack: Stack) -> dict[str, Value]:
    manifest_spec, name = component.spec, component.name
    is_private = image.is_private(component)
    return {
        "image": image.image_reference(component),
        "image_repository_type": "ECR" if is_private else "ECR_PUBLIC",
        "port": manifest_spec["port"],
        "command": manifest_spec.get("command"),
        "environment": image.environment_variables(component, stack),
        "secrets": secret_variables(component, stack),
        "access_role": Ref(f"iam_role.{name}-registry", "arn") if is_private else None,
        "instance_role": Ref(f"iam_role.{name}-instance", "arn"),
        "cpu": f"{manifest_spec['cpu']:g} vCPU",
        "memory": f"{manifest_spec['memory']:g} GB",
        "health": _health_spec(manifest_spec["health"]),
        "autoscaling": Ref(f"apprunner_autoscaling.{name}", "arn"),
        "connector": Ref(f"apprunner_connector.{name}", "arn") if builders.list_databases(component) else None,
        "observability": Ref(f"apprunner_observability.{name}", "arn") if manifest_spec["tracing"] else None,
        "public": manifest_spec["public"],
        "ip_address_type": "DUAL_STACK" if manifest_spec["ipv6"] else "IPV4",
        "auto_deployments": manifest_spec["autoDeploy"],
        "encryption_key": manifest_spec.get("encryptionKey"),
        "log_retention_days": manifest_spec["logs"]["retentionDays"],
    }


def _health_spec(health: Mapping[str, Any]) -> Mapping[str, Value]:
    return {
        "protocol": health["protocol"],
        "path": health["path"],
        "interval": health["intervalSeconds"],
        "timeout": health["timeoutSeconds"],
        "healthy_after": health["healthyAfter"],
        "unhealthy_after": health["unhealthyAfter"],
    }
