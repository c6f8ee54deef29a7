"""Render a checked Manifest as YAML, with the base, the environment and the defaults merged.  Pure.

The output is a valid set of manifests with the same meaning.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from orchestrator.manifest.check import Manifest
from orchestrator.manifest.document import Declaration, Path
from orchestrator.manifest.load import API_VERSION
from orchestrator.vocabulary import Component

INDENT = "  "


def render(manifest: Manifest) -> str:
    """Return one document per component, in order; comments mark values from the environment or a default."""
    return "---\n".join(
        "".join(f"{line}\n" for line in _document_lines(component, manifest.declarations[component.handle]))
        for component in manifest.components
    )


def _document_lines(component: Component, declaration: Declaration) -> Iterator[str]:
    metadata = {"name": component.name, **({"adopt": True} if component.adopt else {})}
    value = {
        "apiVersion": API_VERSION,
        "kind": component.kind,
        "metadata": {**declaration.value["metadata"], **metadata},
        "spec": component.spec,
    }
    yield from _mapping_lines(value, (), declaration)


def _mapping_lines(value: Mapping[str, Any], path: Path, declaration: Declaration) -> Iterator[str]:
    for key, item in value.items():
        yield from _entry_lines(f"{format_value(key)}:", item, (*path, key), declaration)


def _entry_lines(prefix: str, item: Any, path: Path, declaration: Declaration) -> Iterator[str]:
    if item and isinstance(item, Mapping | list):
        origin_note = (
            _origin_note(declaration, path) if declaration.layer_index(path) < 0 or isinstance(item, list) else ""
        )
        yield f"{prefix}{origin_note}"
        lines = (
            _mapping_lines(item, path, declaration)
            if isinstance(item, Mapping)
            else _list_lines(item, path, declaration)
        )
        yield from (f"{INDENT}{line}" for line in lines)
    else:
        yield f"{prefix} {format_value(item)}{_origin_note(declaration, path)}"


def _list_lines(items: list[Any], path: Path, declaration: Declaration) -> Iterator[str]:
    for index, item in enumerate(items):
        item_path = (*path, index)
        if item and isinstance(item, Mapping | list):
            lines = list(
                _mapping_lines(item, item_path, declaration)
                if isinstance(item, Mapping)
                else _list_lines(item, item_path, declaration)
            )
            yield f"- {lines[0]}"
            yield from (f"{INDENT}{line}" for line in lines[1:])
        else:
            yield f"- {format_value(item)}"


def _origin_note(declaration: Declaration, path: Path) -> str:
    """Return a comment with the origin of a value outside the base; members of a default get no comment."""
    layer = declaration.layer_index(path)
    if layer == 0 or path[0] != "spec":
        return ""
    if layer < 0:
        return "  # default" if declaration.layer_index(path[:-1]) >= 0 else ""
    where = declaration.where(path)
    return f"  # {where.file}:{where.line}"


def format_value(value: Any) -> str:
    """Return a value as YAML on one line."""
    text = yaml.dump(value, Dumper=yaml.CSafeDumper, default_flow_style=True, width=1 << 30, allow_unicode=True)
    return text.removesuffix("\n").removesuffix("\n...")
