"""Merge the layer of an environment over the base manifests.  Pure, except for ``list_names``.

Mappings are merged key by key, and null removes a key.  Lists of objects with a key are merged by it
(``keyed_lists``); other lists are replaced as a whole.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

from orchestrator.manifest import file_discovery, keyed_lists, schema, suggest
from orchestrator.manifest.document import Declaration, Document, ListOrigins
from orchestrator.manifest.document import Path as DocumentPath
from orchestrator.manifest.load import ENVIRONMENTS, Layer, Sources
from orchestrator.problems import Position, Problem

DEFAULT_NAME = "prod"
NAME_PATTERN = re.compile(r"[a-z][a-z0-9]*(-[a-z0-9]+)*\Z")
MAX_NAME_LENGTH = 16


def list_names(folder: Path) -> tuple[str, ...]:
    """Return the environments of a folder of manifests, sorted; ``prod`` needs no file."""
    try:
        stems = [path.stem for path in (folder / ENVIRONMENTS).iterdir() if path.suffix in file_discovery.SUFFIXES]
    except OSError:
        stems = []
    return _with_default_name(name for name in stems if not name.startswith("."))


def environment_names(sources: Sources) -> tuple[str, ...]:
    """Return the environments of loaded manifests, sorted; ``prod`` needs no file."""
    return _with_default_name(sources.environments)


def _with_default_name(declared_names: Iterable[str]) -> tuple[str, ...]:
    """Add the environment that the base alone describes, unless a file gives production another name."""
    names = set(declared_names)
    if not any(name.lower().startswith(DEFAULT_NAME) for name in names):
        names.add(DEFAULT_NAME)
    return tuple(sorted(names))


def select_environment(sources: Sources, name: str | None) -> tuple[str, Layer] | Problem:
    """Return the name and layer of environment ``name``; without a name, of the only one."""
    known_names = environment_names(sources)
    if name is None:
        if len(known_names) > 1:
            hint = f"use `-e NAME` or set ORCHESTRATOR_ENVIRONMENT, with one of: {', '.join(known_names)}"
            return Problem("no environment selected", hint=hint)
        name = known_names[0]
    layer = sources.environments.get(name)
    if not NAME_PATTERN.match(name) or len(name) > MAX_NAME_LENGTH:
        rule = f"use lower-case letters, digits and single hyphens, at most {MAX_NAME_LENGTH} characters"
        if layer is not None:
            return Problem(f"invalid environment name `{name}`", Position(layer.file), f"{rule}; rename the file")
        suggestion = suggest.find_closest(name, known_names)
        if suggestion is None:
            return Problem(f"invalid environment name `{name}`", hint=rule)
    if name not in known_names:
        where = f"{file_discovery.display_path(sources.folder / ENVIRONMENTS / name)}.yaml"
        hint = suggest.hint(name, known_names, list_prefix="available environments") or ""
        if suggest.find_closest(name, known_names) is None:
            hint += f"; to add an environment, create {where} (an empty file is valid)"
        return Problem(f"unknown environment `{name}`", hint=hint)
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
    merge = _Merge(base.kind.lower())
    return Declaration(merge.merge_values(base.value, overlay.value), (base, overlay), merge.list_origins)


def _suggest_base_component(document: Document, base: tuple[Document, ...]) -> str | None:
    """Return the base component that the document probably means; ``db1`` is no misspelling of ``db2``."""
    same_kind_handles = [base_document.handle for base_document in base if base_document.kind == document.kind]
    suggestion = suggest.find_closest(document.handle, same_kind_handles, cutoff=0.85)
    if suggestion is None or re.sub(r"\d", "", suggestion) == re.sub(r"\d", "", document.handle):
        return None
    return suggestion


class _Merge:
    """One merge of two documents of a kind; ``list_origins`` says where the items of merged lists come from."""

    def __init__(self, schema_name: str) -> None:
        self.root = schema.load(schema_name)
        self.list_origins: dict[DocumentPath, ListOrigins] = {}

    def merge_values(
        self,
        base: Mapping[str, Any],
        overlay: Mapping[str, Any],
        path: DocumentPath = (),
        schemas: tuple[schema.Schema, ...] | None = None,
    ) -> dict[str, Any]:
        """Return ``base`` with ``overlay`` merged over it; ``schemas`` are those of the two, of which one applies."""
        schemas = (self.root,) if schemas is None else schemas
        result = dict(base)
        for key, value in overlay.items():
            base_value, value_path = result.get(key), (*path, key)
            forms = self._property_forms(schemas, key)
            if value is None:
                result.pop(key, None)
            elif isinstance(value, Mapping):
                base_mapping = base_value if isinstance(base_value, Mapping) else {}
                result[key] = self.merge_values(base_mapping, value, value_path, forms)
            elif isinstance(value, list):
                result[key] = self._merge_lists(base_value, value, value_path, forms)
            else:
                result[key] = value
        return result

    def _merge_lists(
        self, base: Any, overlay: list[Any], path: DocumentPath, forms: tuple[schema.Schema, ...]
    ) -> list[Any]:
        """Merge two lists by the key of their items, or return ``overlay`` where the items have none."""
        key = next((form[keyed_lists.KEYWORD] for form in forms if keyed_lists.KEYWORD in form), None)
        origins = keyed_lists.match_items(base if isinstance(base, list) else [], overlay, key)
        if key is None or origins is None:
            return overlay
        self.list_origins[path] = origins
        item_forms = tuple(
            schema.resolve_ref(self.root, form["items"]) for form in forms if isinstance(form.get("items"), Mapping)
        )
        items: list[Any] = []
        for index, (base_index, overlay_index) in enumerate(origins):
            base_item = base[base_index] if base_index is not None else {}
            overlay_item = overlay[overlay_index] if overlay_index is not None else {}
            items.append(self.merge_values(base_item, overlay_item, (*path, index), item_forms))
        return items

    def _property_forms(self, schemas: tuple[schema.Schema, ...], key: str) -> tuple[schema.Schema, ...]:
        """Return every form of a member's schema."""
        return tuple(
            form
            for parent in schemas
            if (member := schema.property_schema(self.root, parent, key)) is not None
            for form in schema.iter_forms(self.root, member)
        )
