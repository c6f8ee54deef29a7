"""A container that answers HTTP: image repository, roles, network, the service in its runtime, its alarm.  Pure.

The service gets a role with exactly what `access` says, and secrets by injection.  What runs it is a module a runtime
(``runtimes``); the image, the roles' shape, the group and the names are the same for all.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping

from orchestrator.components import Grant, Stack
from orchestrator.components.containerservice import checks, image, runtimes
from orchestrator.components.containerservice.builders import list_databases, service_name
from orchestrator.components.containerservice.checks import Finding, Siblings
from orchestrator.components.containerservice.injected_secrets import list_injected_secrets
from orchestrator.components.containerservice.migration import build_migration
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource, Scope


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Problems as (path, sentence, hint); text may still hold references, which go unjudged."""
    if component.spec["runtime"] in runtimes.RUNTIMES:
        yield from runtimes.get_runtime(component).check(component)
    yield from checks.check(component, siblings)


def answers(component: Component) -> str:
    """The address of the resource by which it answers."""
    return f"{runtimes.get_runtime(component).SERVICE}.{component.name}"


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """Its address, and the name it has in its runtime."""
    service = answers(component)
    return {"url": Ref(service, "url"), "host": Ref(service, "host"), "name": service_name(component, scope)}


def grants(component: Component, scope: Scope) -> Iterator[Grant]:
    """A way to each database, and the secrets it is given."""
    group = Ref(f"ec2_security_group.{component.name}", "id")
    for handle in list_databases(component):
        yield Grant(handle, component.handle, "connect", {"security_group": group})
    for handle in list_injected_secrets(component):
        yield Grant(handle, component.handle, "inject")


def notes(component: Component, stack: Stack) -> Iterable[str]:
    """What a choice costs, or does not do in this runtime."""
    return runtimes.get_runtime(component).notes(component)


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Its resources, what others need first."""
    runtime = runtimes.get_runtime(component)
    return [
        *image.expand(component, stack),
        *runtime.roles(component, stack),
        *runtime.network(component, stack),
        *build_migration(component, stack),
        *runtime.service(component, stack),
    ]
