"""Expand a checked Manifest into desired resources in dependency order.  Pure.

This module uses the component modules through ``orchestrator.components``.  Of AWS it knows only the rules for names,
and nothing about live resources.
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
from orchestrator.manifest import aws_limits, aws_names, drift_ignore, overlay, references
from orchestrator.manifest.check import Manifest, project_scope
from orchestrator.manifest.reference_resolver import ReferenceResolver
from orchestrator.problems import Problem, Problems
from orchestrator.values import iter_references as refs
from orchestrator.vocabulary import Component, DesiredState, Resource

REPORT_BUG_HINT = "this is a bug in the orchestrator: report it"


def expand(manifest: Manifest, artefacts: Artefacts | None = None) -> DesiredState:
    """Resolve every reference and return the resources of all components, which deploy ``artefacts``.

    Raises Problems if AWS does not allow a name, or if dependencies form a cycle.
    """
    stack = replace(build_stack(manifest), artefacts=artefacts or Artefacts())
    resources = [
        resource for component in stack.components.values() for resource in _expand_component(component, stack)
    ]
    problems = [
        *_find_duplicates(resources),
        *aws_names.check_names(resources),
        *aws_limits.check_limits(resources, manifest),
        *_find_missing_dependencies(resources),
    ]
    if problems:
        raise Problems(problems)
    notes = [note for component in stack.components.values() for note in components.notes(component, stack)]
    ordered_resources = _sort_by_dependency(resources)
    notes += stack.artefacts.notes
    declared_waivers = tuple(drift_ignore.read_waivers(manifest.declarations, resources))
    return DesiredState(
        stack.scope,
        ordered_resources,
        tuple(dict.fromkeys(notes)),
        tuple(stack.components.values()),
        declared_waivers,
        environments=frozenset(overlay.environment_names(manifest.sources)),
    )


def build_stack(manifest: Manifest) -> Stack:
    """Return all components with resolved references and the grants between them."""
    components_by_handle = {component.handle: component for component in manifest.components}
    handle = manifest.project.handle
    project = ReferenceResolver(manifest.scope, manifest.declarations, components_by_handle).resolve_component(handle)
    scope = project_scope(project, manifest.environment)
    resolution = ReferenceResolver(scope, manifest.declarations, components_by_handle)
    resolved_components = {name: resolution.resolve_component(name) for name in components_by_handle}
    grants_by_target: dict[str, list[Grant]] = defaultdict(list)
    for component in resolved_components.values():
        for grant in components.grants(component, scope) if _has_module(component) else ():
            grants_by_target[grant.target].append(grant)
    return Stack(
        scope,
        resolved_components[handle],
        resolved_components,
        {target: tuple(grants) for target, grants in grants_by_target.items()},
        {
            name: components.access(resolved_component, scope)
            for name, resolved_component in resolved_components.items()
            if _has_module(resolved_component)
        },
        {name: resolution.exports_of(name) for name in (*resolved_components, references.PROJECT_HANDLE)},
    )


def _has_module(component: Component) -> bool:
    return component.kind.lower() in components.list_kinds()


def _expand_component(component: Component, stack: Stack) -> Iterable[Resource]:
    if not _has_module(component):
        raise Problems.from_message(
            f"no module expands the kind {component.kind}", where=component.where, hint=REPORT_BUG_HINT
        )
    return components.load_module(component.kind).expand(component, stack)


def _find_duplicates(resources: list[Resource]) -> Iterator[Problem]:
    """Yield duplicate addresses, which are bugs of the orchestrator, and duplicate AWS names, which users can fix."""
    first_by_address: dict[str, Resource] = {}
    first_by_name: dict[tuple[str, str], Resource] = {}
    for resource in resources:
        first_resource = first_by_address.setdefault(resource.address, resource)
        if first_resource is not resource:
            message = f"{first_resource.component} and {resource.component} both create {resource.address}"
            yield Problem(message, resource.where, REPORT_BUG_HINT)
            continue
        first_resource = first_by_name.setdefault((resource.type, resource.physical), resource)
        if first_resource is not resource:
            message = (
                f"{resource.component} and {first_resource.component} have the same name in AWS: {resource.physical}"
            )
            yield Problem(message, resource.where, f"rename one of the two; the other is at {first_resource.where}")


def direct_dependencies(resource: Resource) -> frozenset[str]:
    """Return the addresses that must exist before ``resource``."""
    return resource.depends_on | {ref.address for ref in refs(resource.spec)}


def _find_missing_dependencies(resources: list[Resource]) -> Iterator[Problem]:
    known_addresses = {resource.address for resource in resources}
    for resource in resources:
        for address in sorted(direct_dependencies(resource) - known_addresses):
            yield Problem(
                f"{resource.address} depends on {address}, which no component creates", resource.where, REPORT_BUG_HINT
            )


def _sort_by_dependency(resources: list[Resource]) -> tuple[Resource, ...]:
    """Return the resources with dependencies first, otherwise in the order of the manifests.

    Raises Problems if dependencies form a cycle.
    """
    by_address = {resource.address: resource for resource in resources}
    manifest_order = {address: index for index, address in enumerate(by_address)}
    sorter: TopologicalSorter[str] = TopologicalSorter(
        {name: direct_dependencies(dependent) for name, dependent in by_address.items()}
    )
    try:
        sorter.prepare()
    except CycleError as error:
        raise Problems([_cycle_problem(error.args[1], by_address)]) from None
    ordered: list[Resource] = []
    while sorter.is_active():
        ready = sorted(sorter.get_ready(), key=manifest_order.__getitem__)
        ordered += [by_address[address] for address in ready]
        sorter.done(*ready)
    return tuple(ordered)


def _cycle_problem(addresses: list[str], resources_by_address: Mapping[str, Any]) -> Problem:
    path = list(reversed(addresses))
    locations = dict.fromkeys(
        f"{resources_by_address[name].component} at {resources_by_address[name].where}" for name in path
    )
    return Problem(
        f"dependency cycle: {' -> '.join(path)}",
        resources_by_address[path[0]].where,
        f"remove one of the references between {', '.join(locations)}",
    )
