"""Build the parts that both runtimes share: tagged resources, roles, the security group and names.  Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from orchestrator.components import Stack
from orchestrator.components.containerservice.injected_secrets import secret_arn
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource, Scope

PREREQUISITE_TYPES = {"database": "rds_instance", "secret": "secretsmanager_value"}
"""Resource type that must exist before a service that uses a component of this kind starts."""
TASKS_PRINCIPAL = "ecs-tasks.amazonaws.com"
EXECUTION_POLICY_ARN = "arn:aws:iam::aws:policy/service-role/AmazonECSTaskExecutionRolePolicy"
MAX_SERVICE_NAME_LENGTH = 32
"""The service and its related resources share one name; App Runner's scaling has the shortest limit."""
MAX_ROLE_NAME_LENGTH = 64


def build_resource(  # noqa: PLR0913 - the fields of a resource
    component: Component,
    stack: Stack,
    resource_type: str,
    physical: str,
    spec: Mapping[str, Value],
    *,
    name: str | None = None,
    after: frozenset[str] = frozenset(),
    deletable: bool = False,
) -> Resource:
    """Return a resource of the component with ownership tags."""
    tagged_spec = {**spec, "tags": build_ownership_tags(stack.scope, component.handle, deletable=deletable)}
    where, adopt = component.where, component.adopt
    return Resource(resource_type, name or component.name, physical, tagged_spec, component.handle, where, after, adopt)


def build_role(
    component: Component,
    stack: Stack,
    suffix: str,
    principal: str,
    *,
    attached: Iterable[str] = (),
    statements: list[Mapping[str, Any]] | None = None,
) -> Resource:
    """Return the role ``NAME-SUFFIX`` that ``principal`` assumes.

    ``statements`` make its inline policy: an empty list means no policy, None leaves the policy unmanaged.
    A service that says for which account it acts must say ours (confused deputy).  ECS does for tasks (developer guide,
    "Task IAM role"); AWS does not document it of the other principals, so a missing account is accepted.
    """
    trust_statement = {
        "Effect": "Allow",
        "Principal": {"Service": principal},
        "Action": "sts:AssumeRole",
        "Condition": {"StringEqualsIfExists": {"aws:SourceAccount": stack.scope.account}},
    }
    spec: dict[str, Value] = {
        "path": stack.scope.iam_path,
        "trust": {"Version": "2012-10-17", "Statement": [trust_statement]},
        "attached": list(attached),
    }
    if statements is not None:
        spec["policy"] = {"Version": "2012-10-17", "Statement": statements} if statements else None
    if stack.project.spec.get("permissionsBoundary"):
        spec["boundary"] = stack.scope.permissions_boundary_arn
    physical = shorten_name(f"{stack.scope.name_of(component)}-{suffix}", MAX_ROLE_NAME_LENGTH)
    return build_resource(component, stack, "iam_role", physical, spec, name=f"{component.name}-{suffix}")


def access_statements(stack: Stack, handles: Iterable[str]) -> list[Mapping[str, Any]]:
    """Return the statements for access to the components; for a Secret without statements, permission to read it."""
    access: list[Mapping[str, Any]] = []
    for handle in dict.fromkeys(handles):
        read_statement = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"]}
        secret_statements = (
            [{**read_statement, "Resource": [secret_arn(handle)]}] if handle.startswith("secret.") else []
        )
        access.extend(stack.access_statements.get(handle) or secret_statements)
    return access


def build_security_group(component: Component, stack: Stack) -> Resource:
    """Return the security group that databases allow; it has no inbound rules and allows all outbound traffic."""
    spec: Mapping[str, Value] = {
        "vpc": Ref("ec2_vpc.network", "id"),
        "description": f"{component.aws_handle} of {stack.scope.owner}",
        "ingress": [],
        "egress": [{"protocol": "-1", "port": "all", "source": "0.0.0.0/0"}],
    }
    return build_resource(component, stack, "ec2_security_group", stack.scope.name_of(component), spec)


def list_prerequisites(component: Component, stack: Stack) -> frozenset[str]:
    """Return the addresses that must be applied before the service starts, beyond its references."""
    access = component.spec["access"] if isinstance(component.spec["access"], list) else []
    handle_parts = [str(handle).partition(".") for handle in access]
    prerequisites = {
        f"{PREREQUISITE_TYPES[kind]}.{other}" for kind, _, other in handle_parts if kind in PREREQUISITE_TYPES
    }
    if "repository" in component.spec["image"]:
        prerequisites.add(f"ecr_repository.{component.name}")
    if component.spec.get("migrate") and component.handle in stack.artefacts.images:
        prerequisites.add(f"migration.{component.name}")
    return frozenset(prerequisites)


def build_task_roles(component: Component, stack: Stack, secrets: Iterable[str]) -> Iterator[Resource]:
    """Yield the roles of a Fargate task and of its execution, which pulls the image and reads ``secrets``."""
    statements = access_statements(stack, component.spec["access"])
    yield build_role(component, stack, "task", TASKS_PRINCIPAL, statements=statements)
    secret_statements = access_statements(stack, secrets)
    yield build_role(
        component, stack, "execution", TASKS_PRINCIPAL, attached=[EXECUTION_POLICY_ARN], statements=secret_statements
    )


def list_databases(component: Component) -> list[str]:
    """Return the handles of the databases it connects to."""
    return [handle for handle in component.spec["access"] if handle.startswith("database.")]


def list_accessed_secrets(component: Component) -> list[str]:
    """Return the handles of the secrets that it may read by itself."""
    return [handle for handle in component.spec["access"] if handle.startswith("secret.")]


def service_name(component: Component, scope: Scope) -> str:
    """Return the name of the service in AWS."""
    return str(component.spec.get("name") or part_name(component, scope))


def part_name(component: Component, scope: Scope) -> str:
    """Return the name in AWS of what is made for the service: its scaling, its connector."""
    return shorten_name(scope.name_of(component), MAX_SERVICE_NAME_LENGTH)


def shorten_name(name: str, limit: int) -> str:
    """Return ``name``, or its beginning and its hash if it has more than ``limit`` characters."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
