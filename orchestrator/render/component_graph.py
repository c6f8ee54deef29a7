"""Draw which component needs which: as Mermaid, as Graphviz's DOT, or as data.  Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable

from msgspec import Struct

from orchestrator.values import iter_references
from orchestrator.vocabulary import DesiredState

Edge = tuple[str, str]


class ComponentGraph(Struct, frozen=True):
    """All components, and pairs of a component and a component that it depends on."""

    components: tuple[str, ...]
    needs: tuple[Edge, ...]


_HANDLE = re.compile(r"(?<![\w.])[a-z]+\.[a-z][a-z0-9-]*")


def list_edges(desired: DesiredState) -> list[Edge]:
    """Return (component, needed component) pairs, sorted: by the handles in manifests and by what resources need."""
    component_of = {resource.address: resource.component for resource in desired.resources}
    edges = {
        (resource.component, component_of[address])
        for resource in desired.resources
        for address in {*resource.depends_on, *(reference.address for reference in iter_references(resource.spec))}
        if address in component_of
    }
    handles = {component.handle for component in desired.components}
    edges |= {
        (component.handle, handle)
        for component in desired.components
        for handle in _HANDLE.findall(str(component.spec))
        if handle in handles
    }
    return sorted((source, target) for source, target in edges if source != target)


def list_components(desired: DesiredState) -> list[str]:
    """Return every component, sorted."""
    return sorted({component.handle for component in desired.components})


def render_mermaid(components: Iterable[str], edges: Iterable[Edge]) -> str:
    """Return a Mermaid flowchart; GitHub draws it in a Markdown block of the language `mermaid`."""
    names = {component: f"n{number}" for number, component in enumerate(components)}
    lines = ["flowchart LR", *(f'    {name}["{component}"]' for component, name in names.items())]
    return "\n".join([*lines, *(f"    {names[source]} --> {names[target]}" for source, target in edges)])


def render_dot(components: Iterable[str], edges: Iterable[Edge]) -> str:
    """Return a graph in Graphviz's language; `dot -Tsvg` draws it."""
    lines = ["digraph {", "    rankdir=LR;", *(f'    "{component}";' for component in components)]
    return "\n".join([*lines, *(f'    "{source}" -> "{target}";' for source, target in edges), "}"])
