"""A ContainerService in a small stack, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.components import Stack, containerservice
from orchestrator.manifest import schema
from orchestrator.problems import Position
from orchestrator.vocabulary import Component, Resource, Scope

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
POSITION = Position("api.yaml")
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:" + "a" * 64
BUCKET_STATEMENTS = ({"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::files/*"]},)
SECRET = Component("Secret", "app", {"data": {"Jwt:Key": "very-private", "Mode": "y"}}, POSITION)


def make_service(name: str = "api", **spec: Any) -> Component:
    """A component whose spec has the schema's defaults filled in, as the manifest stage does."""
    document = {
        "apiVersion": "orchestrator/v1",
        "kind": "ContainerService",
        "metadata": {"name": name},
        "spec": {"image": {"prebuilt": IMAGE, "repository": name}, **spec},
    }
    return Component("ContainerService", name, schema.fill_defaults("containerservice", document)["spec"], POSITION)


def make_stack(component: Component, *, emails: tuple[str, ...] = (), scope: Scope = SCOPE) -> Stack:
    """The component beside a Secret, with a bucket that grants reading."""
    project = Component("Project", "shop", {"alerts": {"email": list(emails)}}, POSITION)
    components_by_handle = {SECRET.handle: SECRET, component.handle: component}
    return Stack(scope, project, components_by_handle, {}, {"bucket.files": BUCKET_STATEMENTS}, {})


def expand_resources(component: Component, **options: Any) -> dict[str, Resource]:
    """Its resources by address."""
    return {
        resource.address: resource for resource in containerservice.expand(component, make_stack(component, **options))
    }


def list_problems(component: Component, *siblings: Component) -> list[tuple[str, str]]:
    """Path and sentence of each problem that ``check`` finds."""
    components_by_handle: Mapping[str, Component] = {item.handle: item for item in (SECRET, component, *siblings)}
    findings = containerservice.check(component, components_by_handle)
    return [(".".join(map(str, path)), message) for path, message, _ in findings]
