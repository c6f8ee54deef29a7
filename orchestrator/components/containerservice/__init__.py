"""Expand a ContainerService into its image repository, roles, network, service and alarm.  Pure.

The service gets a role with exactly the permissions of `access`, and secrets by injection.  Each runtime has a module
(``runtimes``); the image, the form of the roles, the security group and the names are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.components import Grant, Stack
from orchestrator.components.containerservice import checks, image, runtimes
from orchestrator.components.containerservice.builders import list_databases, service_name
from orchestrator.components.containerservice.checks import Finding, Siblings
from orchestrator.components.containerservice.injected_secrets import list_injected_secrets
from orchestrator.components.containerservice.migration import build_migration, check_migration
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource, Scope


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Yield problems as (path, message, hint); text that still contains references is not checked."""
    if component.spec["runtime"] in runtimes.RUNTIMES:
        yield from runtimes.get_runtime(component).check(component)
    yield from checks.check(component, siblings)
    yield from check_migration(component)


def answers(component: Component) -> str:
    """Return the address of the resource that answers HTTP."""
    return f"{runtimes.get_runtime(component).SERVICE}.{component.name}"


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """Return its URL, its host and its name in the runtime."""
    service = answers(component)
    return {"url": Ref(service, "url"), "host": Ref(service, "host"), "name": service_name(component, scope)}


def grants(component: Component, scope: Scope) -> Iterator[Grant]:
    """Yield a connection to each database, and the injection of each secret."""
    group = Ref(f"ec2_security_group.{component.name}", "id")
    for handle in list_databases(component):
        yield Grant(handle, component.handle, "connect", {"security_group": group})
    for handle in list_injected_secrets(component):
        yield Grant(handle, component.handle, "inject")


def notes(component: Component, stack: Stack) -> Iterable[str]:
    """Return notes about costs and about settings that the runtime ignores."""
    return runtimes.get_runtime(component).notes(component)


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Return its resources, dependencies first."""
    runtime = runtimes.get_runtime(component)
    return [
        *image.expand(component, stack),
        *runtime.roles(component, stack),
        *runtime.network(component, stack),
        *build_migration(component, stack),
        *runtime.service(component, stack),
    ]
