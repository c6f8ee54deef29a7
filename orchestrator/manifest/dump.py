"""A checked Manifest -> YAML: what the base, the environment and the defaults come to.  Pure.

What it writes is a set of manifests again, and means the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from orchestrator.manifest.check import Manifest
from orchestrator.manifest.document import Declared, Path
from orchestrator.manifest.load import API_VERSION
from orchestrator.vocabulary import Component

INDENT = "  "


def render(manifest: Manifest) -> str:
    """One document a component, in order; a comment says of a value that the environment or a default gave it."""
    return "---\n".join(
        "".join(f"{line}\n" for line in _document(component, manifest.declared[component.handle]))
        for component in manifest.components
    )


def _document(component: Component, declared: Declared) -> Iterator[str]:
    metadata = {"name": component.name, **({"adopt": True} if component.adopt else {})}
    value = {
        "apiVersion": API_VERSION,
        "kind": component.kind,
        "metadata": {**declared.value["metadata"], **metadata},
        "spec": component.spec,
    }
    yield from _mapping(value, (), declared)


def _mapping(value: Mapping[str, Any], path: Path, declared: Declared) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry(f"{_scalar(key)}:", item, (*path, key), declared)


def _entry(start: str, item: Any, path: Path, declared: Declared) -> Iterator[str]:
    if item and isinstance(item, Mapping | list):
        note = _origin(declared, path) if declared.layer(path) < 0 or isinstance(item, list) else ""
        yield f"{start}{note}"
        lines = _mapping(item, path, declared) if isinstance(item, Mapping) else _list(item, path, declared)
        yield from (f"{INDENT}{line}" for line in lines)
    else:
        yield f"{start} {_scalar(item)}{_origin(declared, path)}"


def _list(items: list[Any], path: Path, declared: Declared) -> Iterator[str]:
    for index, item in enumerate(items):
        place = (*path, index)
        if item and isinstance(item, Mapping | list):
            lines = list(_mapping(item, place, declared) if isinstance(item, Mapping) else _list(item, place, declared))
            yield f"- {lines[0]}"
            yield from (f"{INDENT}{line}" for line in lines[1:])
        else:
            yield f"- {_scalar(item)}"


def _origin(declared: Declared, path: Path) -> str:
    """Who gave a value, unless it was the base; members of a default need no note of their own."""
    layer = declared.layer(path)
    if layer == 0 or path[0] != "spec":
        return ""
    if layer < 0:
        return "  # default" if declared.layer(path[:-1]) >= 0 else ""
    where = declared.where(path)
    return f"  # {where.file}:{where.line}"


def _scalar(value: Any) -> str:
    text = yaml.dump(value, Dumper=yaml.CSafeDumper, default_flow_style=True, width=1 << 30, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
