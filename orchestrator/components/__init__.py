"""One module a manifest kind: it turns a checked manifest into desired AWS resources.  Pure.

Modules are found by listing this package (``Bucket`` -> ``bucket.py``).  A module may know: ``model``, ``values``,
``tags``, and what the ``Stack`` tells it of others.  It may not: know another component module, or do I/O.

A module has ``expand(component, stack) -> list[Resource]`` and may have

``exports(component, scope)``   what ``${bucket.files.NAME}`` stands for: final text, or a Ref to a resource's output
``access(component, scope)``    IAM statements that ``access: [bucket.files]`` of another component allows
``grants(component, scope)``    what it asks of other components (see Grant)
``notes(component, stack)``      sentences that the plan's reader should know, e.g. what a choice costs
``answers(component)``            the address of the resource by which it answers HTTP
``check(component, siblings)``  problems a schema cannot tell, before references are resolved: (path, sentence, hint)
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
    """What one component asks of another, e.g. the CDN to read a prefix of a bucket, a service to reach a database."""

    target: str
    requester: str
    kind: str
    data: Mapping[str, Value] = field(default_factory=dict)


class Stack(Struct, frozen=True):
    """All components of one environment, references resolved, and what they ask of each other."""

    scope: Scope
    project: Component
    components: Mapping[str, Component]
    grants_by_target: Mapping[str, tuple[Grant, ...]]
    access_statements: Mapping[str, tuple[Mapping[str, Any], ...]]
    exports_by_handle: Mapping[str, Mapping[str, Value]]
    artefacts: Artefacts = field(default_factory=Artefacts)

    @property
    def release_bucket(self) -> str | None:
        """Name of the bucket that keeps the releases, or None where the Project names none."""
        handle = (self.project.spec.get("releases") or {}).get("bucket")
        return None if handle is None else str(self.get_export(handle, "name"))

    def grants_for(self, component: Component, kind: str) -> tuple[Grant, ...]:
        """What others ask of ``component``, of one kind."""
        return tuple(grant for grant in self.grants_by_target.get(component.handle, ()) if grant.kind == kind)

    def get_export(self, handle: str, name: str) -> Value:
        """What ``${handle.name}`` stands for; checked before, so it exists."""
        return self.exports_by_handle[handle][name]


class ComponentModule(Protocol):
    """What a module of this package offers (the module itself is the object)."""

    def expand(self, component: Component, stack: Stack) -> list[Resource]:
        """The desired resources of one component."""


@cache
def list_kinds() -> tuple[str, ...]:
    """Module names of every kind, sorted: the kind in lower case."""
    return tuple(sorted(module.name for module in pkgutil.iter_modules(__path__)))


@cache
def load_module(kind: str) -> ComponentModule:
    """The module of one kind, e.g. ``ContainerService``.

    Raises KeyError when there is none.
    """
    if kind.lower() not in list_kinds():
        raise KeyError(kind)
    return cast(ComponentModule, importlib.import_module(f"{__name__}.{kind.lower()}"))


def exports(component: Component, scope: Scope) -> Mapping[str, Value]:
    """What ``${component.NAME}`` may name."""
    hook = getattr(load_module(component.kind), "exports", None)
    return {} if hook is None else cast(Mapping[str, Value], hook(component, scope))


def answers(component: Component) -> str | None:
    """The address of the resource by which a component answers HTTP; its outputs hold ``host`` and ``url``."""
    hook = getattr(load_module(component.kind), "answers", None)
    return None if hook is None else str(hook(component))


def access(component: Component, scope: Scope) -> tuple[Mapping[str, Any], ...]:
    """The IAM statements that access to the component means."""
    hook = getattr(load_module(component.kind), "access", None)
    return () if hook is None else tuple(hook(component, scope))


def grants(component: Component, scope: Scope) -> Iterable[Grant]:
    """What the component asks of others."""
    hook = getattr(load_module(component.kind), "grants", None)
    return () if hook is None else cast(Iterable[Grant], hook(component, scope))


def notes(component: Component, stack: Stack) -> tuple[str, ...]:
    """What the reader of a plan should know of the component."""
    hook = getattr(load_module(component.kind), "notes", None)
    return () if hook is None else tuple(hook(component, stack))
