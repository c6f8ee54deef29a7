"""A checked Manifest -> desired resources in dependency order.  Pure.

May know: component modules, through ``orchestrator.components``.  May not: know AWS beyond what names it allows, or
what is live.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from graphlib import CycleError, TopologicalSorter
from typing import Any

from msgspec.structs import replace

from orchestrator import components
from orchestrator.artefacts import Artefacts
from orchestrator.components import Grant, Stack
from orchestrator.manifest import aws_names, drift_ignore, references
from orchestrator.manifest.check import Manifest, scope_of
from orchestrator.manifest.reference_resolver import Resolution
from orchestrator.problems import Problem, Problems
from orchestrator.values import references as refs
from orchestrator.vocabulary import Component, Desired, Resource

REPORT = "this is a mistake in the orchestrator; please report it"


def expand(manifest: Manifest, artefacts: Artefacts | None = None) -> Desired:
    """Resolve every reference and ask each component for its resources, which ship ``artefacts``.

    Raises Problems: names that AWS does not allow, and dependencies that lead in a circle.
    """
    stack = replace(stack_of(manifest), artefacts=artefacts or Artefacts())
    made = [resource for component in stack.components.values() for resource in _expanded(component, stack)]
    problems = [*_doubles(made), *aws_names.problems(made), *_dangling(made)]
    if problems:
        raise Problems(problems)
    notes = [note for component in stack.components.values() for note in components.notes(component, stack)]
    ordered = _ordered(made)
    notes += stack.artefacts.notes
    declared_waivers = tuple(drift_ignore.waivers(manifest.declared, made))
    return Desired(
        stack.scope, ordered, tuple(dict.fromkeys(notes)), tuple(stack.components.values()), declared_waivers
    )


def stack_of(manifest: Manifest) -> Stack:
    """All components with their references resolved, and what they ask of each other."""
    found = {component.handle: component for component in manifest.components}
    handle = manifest.project.handle
    project = Resolution(manifest.scope, manifest.declared, found).component(handle)
    scope = scope_of(project, manifest.environment)
    resolution = Resolution(scope, manifest.declared, found)
    resolved = {name: resolution.component(name) for name in found}
    granted: dict[str, list[Grant]] = defaultdict(list)
    for component in resolved.values():
        for grant in components.grants(component, scope) if _is_known(component) else ():
            granted[grant.to].append(grant)
    return Stack(
        scope,
        resolved[handle],
        resolved,
        {to: tuple(grants) for to, grants in granted.items()},
        {name: components.access(each, scope) for name, each in resolved.items() if _is_known(each)},
        {name: resolution.exported(name) for name in (*resolved, references.PROJECT)},
    )


def _is_known(component: Component) -> bool:
    return component.kind.lower() in components.kinds()


def _expanded(component: Component, stack: Stack) -> Iterable[Resource]:
    if not _is_known(component):
        raise Problems.one(f"nothing makes a {component.kind}", where=component.where, hint=REPORT)
    return components.load(component.kind).expand(component, stack)


def _doubles(made: list[Resource]) -> Iterator[Problem]:
    """Two resources of one address are our mistake, two of one name in AWS are the manifests'."""
    addresses: dict[str, Resource] = {}
    names: dict[tuple[str, str], Resource] = {}
    for resource in made:
        first = addresses.setdefault(resource.address, resource)
        if first is not resource:
            message = f"{first.component} and {resource.component} both make {resource.address}"
            yield Problem(message, resource.where, REPORT)
            continue
        first = names.setdefault((resource.type, resource.physical), resource)
        if first is not resource:
            message = f"{resource.component} and {first.component} would both be called {resource.physical} in AWS"
            yield Problem(message, resource.where, f"give one of the two another name; the other is at {first.where}")


def depends_on(resource: Resource) -> frozenset[str]:
    """The addresses that must be there before ``resource``."""
    return resource.after | {ref.address for ref in refs(resource.spec)}


def _dangling(made: list[Resource]) -> Iterator[Problem]:
    known = {resource.address for resource in made}
    for resource in made:
        for address in sorted(depends_on(resource) - known):
            yield Problem(f"{resource.address} needs {address}, which nothing makes", resource.where, REPORT)


def _ordered(made: list[Resource]) -> tuple[Resource, ...]:
    """Dependencies first; among equals, as the manifests have them."""
    by_address = {resource.address: resource for resource in made}
    place = {address: index for index, address in enumerate(by_address)}
    sorter: TopologicalSorter[str] = TopologicalSorter({name: depends_on(each) for name, each in by_address.items()})
    try:
        sorter.prepare()
    except CycleError as error:
        raise Problems([_circle(error.args[1], by_address)]) from None
    ordered: list[Resource] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=place.__getitem__)
        ordered += [by_address[address] for address in ready]
        sorter.done(*ready)
    return tuple(ordered)


def _circle(addresses: list[str], made: Mapping[str, Any]) -> Problem:
    path = list(reversed(addresses))
    places = dict.fromkeys(f"{made[name].component} at {made[name].where}" for name in path)
    return Problem(
        f"resources depend on each other in a circle: {' -> '.join(path)}",
        made[path[0]].where,
        f"remove one of the references between {', '.join(places)}",
    )
