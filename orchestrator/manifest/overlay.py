"""Merge the layer of an environment over the base manifests.  Pure, except for ``list_names``.

Mappings are merged key by key, lists are replaced as a whole, and null removes a key.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from orchestrator.manifest import file_discovery, suggest
from orchestrator.manifest.document import Declaration, Document
from orchestrator.manifest.load import ENVIRONMENTS, Layer, Sources
from orchestrator.problems import Position, Problem

DEFAULT_NAME = "prod"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
MAX_NAME_LENGTH = 16


def list_names(folder: Path) -> tuple[str, ...]:
    """Return the environments that have a file, sorted."""
    try:
        stems = [path.stem for path in (folder / ENVIRONMENTS).iterdir() if path.suffix in file_discovery.SUFFIXES]
    except OSError:
        return ()
    return tuple(sorted({name for name in stems if not name.startswith(".")}))


def select_environment(sources: Sources, name: str | None) -> tuple[str, Layer] | Problem:
    """Return the name and layer of environment ``name``; without a name, of the only one or of ``prod``."""
    known_names = sorted(sources.environments)
    if name is None:
        name = known_names[0] if len(known_names) == 1 else DEFAULT_NAME
        if known_names and name not in known_names:
            return Problem("no environment selected", hint=f"use `-e NAME` with one of: {', '.join(known_names)}")
    layer = sources.environments.get(name)
    if layer is None and (hint := suggest.hint(name, known_names, list_prefix="available environments")):
        return Problem(f"unknown environment `{name}`", hint=hint)
    if not NAME_PATTERN.match(name) or len(name) > MAX_NAME_LENGTH:
        rule = f"use lower-case letters, digits and single hyphens, at most {MAX_NAME_LENGTH} characters"
        if layer is None:
            return Problem(f"invalid environment name `{name}`", hint=rule)
        return Problem(f"invalid environment name `{name}`", Position(layer.file), f"{rule}; rename the file")
    if layer is None and name != DEFAULT_NAME:
        where = f"{file_discovery.display_path(sources.folder / ENVIRONMENTS / name)}.yaml"
        return Problem(f"unknown environment `{name}`", hint=f"create {where}; it may be empty")
    return name, layer or Layer()


def merge(base: tuple[Document, ...], layer: Layer, problems: list[Problem]) -> tuple[Declaration, ...]:
    """Return every component of the environment: the base's in order, then those that only the environment has."""
    overlay_documents = {document.handle: document for document in layer.documents}
    declarations = [_declare(document, overlay_documents.pop(document.handle, None)) for document in base]
    for document in overlay_documents.values():
        suggestion = _suggest_base_component(document, base)
        if suggestion:
            message = f"{document.handle} does not exist in the base manifests"
            problems.append(Problem(message, document.where, f"did you mean `{suggestion}`?"))
        else:
            declarations.append(Declaration(document.value, (document,)))
    return tuple(declarations)


def _declare(base: Document, overlay: Document | None) -> Declaration:
    if overlay is None:
        return Declaration(base.value, (base,))
    return Declaration(merge_values(base.value, overlay.value), (base, overlay))


def _suggest_base_component(document: Document, base: tuple[Document, ...]) -> str | None:
    """Return the base component that the document probably means; ``db1`` is no misspelling of ``db2``."""
    same_kind_handles = [base_document.handle for base_document in base if base_document.kind == document.kind]
    suggestion = suggest.find_closest(document.handle, same_kind_handles, cutoff=0.85)
    if suggestion is None or re.sub(r"\d", "", suggestion) == re.sub(r"\d", "", document.handle):
        return None
    return suggestion


def merge_values(base: Mapping[str, Any], overlay: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``base`` with ``overlay`` merged over it."""
    result = dict(base)
    for key, value in overlay.items():
        base_value = result.get(key)
        if value is None:
            result.pop(key, None)
        elif isinstance(value, Mapping):
            result[key] = merge_values(base_value if isinstance(base_value, Mapping) else {}, value)
        else:
            result[key] = value
    return result
