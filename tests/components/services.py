"""A ContainerService in a small stack, for the tests of this folder."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from orchestrator.components import Stack, containerservice
from orchestrator.manifest import schema
from orchestrator.problems import Position
from orchestrator.vocabulary import Component, Resource, Scope

SCOPE = Scope("shop", "prod", "123456789012", "eu-west-1")
HERE = Position("api.yaml")
IMAGE = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/shop@sha256:" + "a" * 64
BUCKET = ({"Effect": "Allow", "Action": ["s3:GetObject"], "Resource": ["arn:aws:s3:::files/*"]},)
SECRET = Component("Secret", "app", {"data": {"Jwt:Key": "very-private", "Mode": "y"}}, HERE)


def service(name: str = "api", **spec: Any) -> Component:
    """A component whose spec has the schema's defaults filled in, as the manifest stage does."""
    document = {
        "apiVersion": "orchestrator/v1",
        "kind": "ContainerService",
        "metadata": {"name": name},
        "spec": {"image": {"prebuilt": IMAGE, "repository": name}, **spec},
    }
    return Component("ContainerService", name, schema.fill("containerservice", document)["spec"], HERE)


def stack(component: Component, *, emails: tuple[str, ...] = (), scope: Scope = SCOPE) -> Stack:
    """The component beside a Secret, with a bucket that grants reading."""
    project = Component("Project", "shop", {"alerts": {"email": list(emails)}}, HERE)
    known = {SECRET.handle: SECRET, component.handle: component}
    return Stack(scope, project, known, {}, {"bucket.files": BUCKET}, {})


def expanded(component: Component, **options: Any) -> dict[str, Resource]:
    """Its resources by address."""
    return {resource.address: resource for resource in containerservice.expand(component, stack(component, **options))}


def found(component: Component, *siblings: Component) -> list[tuple[str, str]]:
    """Path and sentence of each problem that ``check`` finds."""
    known: Mapping[str, Component] = {one.handle: one for one in (SECRET, component, *siblings)}
    findings = containerservice.check(component, known)
    return [(".".join(map(str, path)), sentence) for path, sentence, _ in findings]
