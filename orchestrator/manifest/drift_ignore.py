"""Read the waivers that manifests declare under ``metadata.drift.ignore``.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from orchestrator import resources
from orchestrator.manifest import suggest
from orchestrator.manifest.document import Declaration, Path
from orchestrator.problems import Problem, Problems
from orchestrator.vocabulary import Resource, Waiver

IGNORE_PATH: Path = ("metadata", "drift", "ignore")


def read_waivers(declarations: Mapping[str, Declaration], desired_resources: Iterable[Resource]) -> Iterator[Waiver]:
    """Yield the waivers that the manifests declare.

    Raises Problems if a date is invalid, or if the component does not have the resource or field.
    """
    desired_resources = list(desired_resources)
    for handle, declaration in declarations.items():
        entries = (declaration.value["metadata"].get("drift") or {}).get("ignore", ())
        component_resources = {
            resource.address: resource for resource in desired_resources if resource.component == handle
        }
        for index, entry in enumerate(entries):
            if problem := _find_problem(declaration, (*IGNORE_PATH, index), entry, component_resources):
                raise Problems([problem])
            yield _build_waiver(handle, entry, component_resources)


def _build_waiver(handle: str, entry: Mapping[str, Any], component_resources: Mapping[str, Resource]) -> Waiver:
    addresses = frozenset({entry["resource"]} if "resource" in entry else component_resources)
    return Waiver(handle, addresses, entry["field"], entry["until"], entry["owner"], entry["reason"])


def _find_problem(
    declaration: Declaration, path: Path, entry: Mapping[str, Any], component_resources: Mapping[str, Resource]
) -> Problem | None:
    try:
        date.fromisoformat(entry["until"])
    except ValueError:
        return Problem(
            f"`until: {entry['until']}` is not a valid date",
            declaration.where((*path, "until")),
            "write it as YYYY-MM-DD",
        )
    address = entry.get("resource")
    if address is not None and address not in component_resources:
        hint = suggest.hint(address, list(component_resources), list_prefix="available resources")
        return Problem(f"{declaration.handle} has no resource {address}", declaration.where((*path, "resource")), hint)
    fields = {
        name
        for resource in component_resources.values()
        if address in {None, resource.address}
        for name in _comparable_fields(resource)
    }
    name = entry["field"].partition(".")[0]
    if name not in fields:
        hint = suggest.hint(name, sorted(fields), list_prefix="available fields")
        return Problem(
            f"{address or declaration.handle} has no field `{name}`", declaration.where((*path, "field")), hint
        )
    return None


def _comparable_fields(resource: Resource) -> set[str]:
    """Return the fields that the resource type compares: those of the spec and its defaults."""
    return {*resource.spec, *getattr(resources.load(resource.type), "DEFAULTS", {})}
