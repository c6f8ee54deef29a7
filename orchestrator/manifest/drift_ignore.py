"""``metadata.drift.ignore`` -> waivers, or what is wrong with them.  Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from datetime import date
from typing import Any

from orchestrator import resources
from orchestrator.manifest import suggest
from orchestrator.manifest.document import Declared, Path
from orchestrator.problems import Problem, Problems
from orchestrator.vocabulary import Resource, Waiver

IGNORE: Path = ("metadata", "drift", "ignore")


def waivers(declared: Mapping[str, Declared], made: Iterable[Resource]) -> Iterator[Waiver]:
    """What the manifests let be.

    Raises Problems: a day that there is not, a resource or field that the component does not have.
    """
    made = list(made)
    for handle, one in declared.items():
        entries = (one.value["metadata"].get("drift") or {}).get("ignore", ())
        mine = {resource.address: resource for resource in made if resource.component == handle}
        for index, entry in enumerate(entries):
            if problem := _problem(one, (*IGNORE, index), entry, mine):
                raise Problems([problem])
            yield _waiver(handle, entry, mine)


def _waiver(handle: str, entry: Mapping[str, Any], mine: Mapping[str, Resource]) -> Waiver:
    addresses = frozenset({entry["resource"]} if "resource" in entry else mine)
    return Waiver(handle, addresses, entry["field"], entry["until"], entry["owner"], entry["reason"])


def _problem(one: Declared, path: Path, entry: Mapping[str, Any], mine: Mapping[str, Resource]) -> Problem | None:
    try:
        date.fromisoformat(entry["until"])
    except ValueError:
        return Problem(f"there is no day {entry['until']}", one.where((*path, "until")), "write it YEAR-MONTH-DAY")
    address = entry.get("resource")
    if address is not None and address not in mine:
        hint = suggest.hint(address, list(mine), there_are="it makes")
        return Problem(f"{one.handle} makes no {address}", one.where((*path, "resource")), hint)
    fields = {name for each in mine.values() if address in {None, each.address} for name in _fields(each)}
    name = entry["field"].partition(".")[0]
    if name not in fields:
        hint = suggest.hint(name, sorted(fields), there_are="the fields are")
        return Problem(f"{address or one.handle} has no field `{name}`", one.where((*path, "field")), hint)
    return None


def _fields(resource: Resource) -> set[str]:
    """What its resource type compares: what is said, and what the type adds."""
    return {*resource.spec, *getattr(resources.load(resource.type), "DEFAULTS", {})}
