"""What both runtimes are put together from: resources with our mark, roles, the group, one name.  Pure."""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from typing import Any

from orchestrator.components import Stack
from orchestrator.components.containerservice.injected_secrets import injected, secret_arn
from orchestrator.components.containerservice.migration import migration
from orchestrator.ownership_tags import claim
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource, Scope

FIRST = {"database": "rds_instance", "secret": "secretsmanager_value"}
"""What must be there before a service that uses it starts."""
SERVICE_NAME = 32
"""The service and all that is called like it share one name; App Runner's scaling has the shortest limit."""
ROLE_NAME = 64


def make(  # noqa: PLR0913 - a resource is what it is
    component: Component,
    stack: Stack,
    kind: str,
    physical: str,
    spec: Mapping[str, Value],
    *,
    name: str | None = None,
    after: frozenset[str] = frozenset(),
    deletable: bool = False,
) -> Resource:
    """A resource of the component, marked as ours."""
    marked = {**spec, "tags": claim(stack.scope, component.handle, deletable=deletable)}
    where, adopt = component.where, component.adopt
    return Resource(kind, name or component.name, physical, marked, component.handle, where, after, adopt)


def role(
    component: Component,
    stack: Stack,
    part: str,
    principal: str,
    *,
    attached: Iterable[str] = (),
    statements: list[Mapping[str, Any]] | None = None,
) -> Resource:
    """The role ``NAME-part`` that ``principal`` takes.

    ``statements`` of its own policy: none leave it without one; where it is not asked about, it is not looked at.
    """
    trusted = {"Effect": "Allow", "Principal": {"Service": principal}, "Action": "sts:AssumeRole"}
    spec: dict[str, Value] = {
        "path": stack.scope.path,
        "trust": {"Version": "2012-10-17", "Statement": [trusted]},
        "attached": list(attached),
    }
    if statements is not None:
        spec["policy"] = {"Version": "2012-10-17", "Statement": statements} if statements else None
    if stack.project.spec.get("permissionsBoundary"):
        spec["boundary"] = stack.scope.boundary
    physical = fit(f"{stack.scope.prefix}-{component.name}-{part}", ROLE_NAME)
    return make(component, stack, "iam_role", physical, spec, name=f"{component.name}-{part}")


def statements(stack: Stack, handles: Iterable[str]) -> list[Mapping[str, Any]]:
    """What access to the components means; for a Secret that grants nothing by itself, reading it."""
    allowed: list[Mapping[str, Any]] = []
    for handle in dict.fromkeys(handles):
        reading = {"Effect": "Allow", "Action": ["secretsmanager:GetSecretValue"]}
        secret = [{**reading, "Resource": [secret_arn(handle)]}] if handle.startswith("secret.") else []
        allowed.extend(stack.accesses.get(handle) or secret)
    return allowed


def group(component: Component, stack: Stack) -> Resource:
    """The security group by which databases know it: nobody comes in through it, everything goes out."""
    spec: Mapping[str, Value] = {
        "vpc": Ref("ec2_vpc.network", "id"),
        "description": f"{component.handle} of {stack.scope.owner}",
        "ingress": [],
        "egress": [{"protocol": "-1", "port": "all", "source": "0.0.0.0/0"}],
    }
    return make(component, stack, "ec2_security_group", f"{stack.scope.prefix}-{component.name}", spec)


def before(component: Component, stack: Stack) -> frozenset[str]:
    """Addresses of what must be done before the service starts, beyond what it refers to."""
    wanted = component.spec["access"] if isinstance(component.spec["access"], list) else []
    parted = [str(handle).partition(".") for handle in wanted]
    needed = {f"{FIRST[kind]}.{other}" for kind, _, other in parted if kind in FIRST}
    if "repository" in component.spec["image"]:
        needed.add(f"ecr_repository.{component.name}")
    return frozenset(needed | {one.address for one in migration(component, stack)})


def databases(component: Component) -> list[str]:
    """Handles of the databases it connects to."""
    return [handle for handle in component.spec["access"] if handle.startswith("database.")]


def fetched(component: Component) -> list[str]:
    """Handles of the secrets that it reads by itself."""
    return [h for h in component.spec["access"] if h.startswith("secret.") and h not in injected(component)]


def called(component: Component, scope: Scope) -> str:
    """The service's name in AWS."""
    return fit(f"{scope.prefix}-{component.name}", SERVICE_NAME)


def fit(name: str, limit: int) -> str:
    """``name``, or its beginning and a hash of it where AWS allows no more than ``limit`` characters."""
    if len(name) <= limit:
        return name
    return f"{name[: limit - 9]}-{hashlib.sha256(name.encode()).hexdigest()[:8]}"
