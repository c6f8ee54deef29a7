"""Look up the module of a runtime by its name in the manifest.  Each module builds the same parts of a service.

``SERVICE``                  the type of the resource that answers HTTP
``check(component)``         settings that the runtime does not support, as (path, message, hint)
``notes(component)``         notes for the reader of a plan
``roles(component, stack)``, ``network(component, stack)``, ``service(component, stack)``   its resources
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Protocol, cast

from orchestrator.components import Stack
from orchestrator.components.containerservice import app_runner, ecs_express
from orchestrator.components.containerservice.checks import Finding
from orchestrator.vocabulary import Component, Resource


class Runtime(Protocol):
    """Interface of the runtime modules (the module itself is the object)."""

    SERVICE: str

    def check(self, component: Component) -> Iterable[Finding]: ...

    def notes(self, component: Component) -> Iterable[str]: ...

    def roles(self, component: Component, stack: Stack) -> Iterable[Resource]: ...

    def network(self, component: Component, stack: Stack) -> Iterable[Resource]: ...

    def service(self, component: Component, stack: Stack) -> Iterable[Resource]: ...


RUNTIMES: Mapping[str, Runtime] = {
    "app-runner": cast(Runtime, app_runner),
    "ecs-express": cast(Runtime, ecs_express),
}


def get_runtime(component: Component) -> Runtime:
    """Return the runtime that the manifest names."""
    return RUNTIMES[component.spec["runtime"]]
