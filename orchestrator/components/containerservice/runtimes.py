"""The runtimes by the word of the manifest.  Each module makes the same parts of a service in its own way.

``SERVICE``                  the resource type that answers
``check(component)``         what the runtime does not offer: (path, sentence, hint)
``notes(component)``         what a reader of the plan should know of it
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
    """What a module of a runtime offers (the module itself is the object)."""

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
    """The runtime that the manifest names."""
    return RUNTIMES[component.spec["runtime"]]
