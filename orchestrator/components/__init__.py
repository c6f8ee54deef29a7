"""Turn a checked manifest component into desired AWS resources, with one module per manifest kind.  Pure.

Modules are found by listing this package (``Bucket`` -> ``bucket.py``).  A module may use ``vocabulary``, ``values``,
``ownership_tags`` and what the ``Stack`` provides about other components.  It uses no other component module and does
no I/O.

A module has ``expand(component, stack) -> list[Resource]`` and may have

``exports(component, scope)``   values of ``${bucket.files.NAME}``: final text, or a Ref to a resource's output
``access(component, scope)``    IAM statements that ``access: [bucket.files]`` of another component allows
``grants(component, scope)``    what it needs from other components (see Grant)
``notes(component, stack)``     sentences for the reader of a plan, e.g. what a choice costs
``answers(component)``          the address of the resource that answers HTTP
``check(component, siblings)``  problems that a schema cannot express, before references are resolved, as
                                (path, message, hint)
"""

from __future__ import annotations

import importlib
import pkgutil
from collections.abc import Iterable, Mapping
from functools import cache
from typing import Any, Protocol, cast

from msgspec import Struct, field

from orchestrator.artefacts import Artefacts
from orchestrator.values import Value
from orchestrator.vocabulary import Component, Resource, Scope


class Grant(Struct, frozen=True):
    """What one component needs from another, e.g. a Cdn that reads a bucket or a service that uses a database."""

    target: str
    requester: str
    kind: str
    data: Mapping[str, Value] = field(default_factory=dict)


class Stack(Struct, frozen=True):
    """All components of one environment, with resolved references and the grants between them."""

    scope: Scope
    project: Component
    components: Mapping[str, Component]
    grants_by_target: Mapping[str, tuple[Grant, ...]]
    access_statements: Mapping[str, tuple[Mapping[str, Any], ...]]
    exports_by_handle: Mapping[str, Mapping[str, Value]]
    artefacts: Artefacts = field(default_factory=Artefacts)

    @property
    def release_bucket(self) -> str | None:
        """Name of the bucket that stores the releases, or None if the Project names none."""
        handle = (self.project.spec.get("releases") or {}).get("bucket")
        return None if handle is None else str(self.get_export(handle, "name"))

    def aws_handle(self, handle: str) -> str:
        """Return the handle that a component has in what AWS does not let one change: the one before it was renamed."""
        return self.components[handle].aws_handle

    def grants_for(self, component: Component, kind: str) -> tuple[Grant, ...]:
        """Return the grants of one kind that other components need from ``component``."""
        handles = dict.fromkeys((component.handle, component.aws_handle))
        grants = (grant for handle in handles for grant in self.grants_by_target.get(handle, ()))
        return tuple(grant for grant in grants if grant.kind == kind)

    def get_export(self, handle: str, name: str) -> Value:
        """Return the value of ``${handle.name}``; it exists, because references are checked before.

        A renamed component also has the handle that it had before.
        """
        if handle not in self.exports_by_handle:
            handle = next(item.handle for item in self.components.values() if item.aws_handle == handle)
        return self.exports_by_handle[handle][name]


class ComponentModule(Protocol):
    """Interface of the modules of this package (the module itself is the object)."""

    def expand(self, component: Component, stack: Stack) -> list[Resource]:
        """Return the desired resources of one component."""


@cache
def list_kinds() -> tuple[str, ...]:
    """Return the module names of every kind (the kind in lower case), sorted."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@cache
def load_module(kind: str) -> ComponentModule:
    """Return the module of one kind, e.g. ``ContainerService``.

    Raises KeyError if there is none.
    """
    if kind.lower() not in list_kinds():
        raise KeyError(kind)
    return cast(ComponentModule, importlib.import_module(f"{__name__}.{kind.lower()}"))


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """Return the values of ``${component.NAME}``."""
    hook = getattr(load_module(component.kind), "exports", None)
    return {} if hook is None else cast(Mapping[str, Value], hook(component, scope))


def answers(component: Component) -> str | None:
    """Return the address of the resource that answers HTTP for a component; it has the outputs ``host`` and ``url``."""
    hook = getattr(load_module(component.kind), "answers", None)
    return None if hook is None else str(hook(component))


def access(component: Component, scope: Scope) -> tuple[Mapping[str, Any], ...]:
    """Return the IAM statements that allow access to the component."""
    hook = getattr(load_module(component.kind), "access", None)
    return () if hook is None else tuple(hook(component, scope))


def grants(component: Component, scope: Scope) -> Iterable[Grant]:
    """Return what the component needs from other components."""
    hook = getattr(load_module(component.kind), "grants", None)
    return () if hook is None else cast(Iterable[Grant], hook(component, scope))


def notes(component: Component, stack: Stack) -> tuple[str, ...]:
    """Return notes about the component for the reader of a plan."""
    hook = getattr(load_module(component.kind), "notes", None)
    return () if hook is None else tuple(hook(component, stack))
