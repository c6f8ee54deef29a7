"""Load manifest files into documents with positions.

This module reads files of one folder and writes nothing.  Problems of one file are collected in ``Sources.problems``
and do not stop the others from being read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from orchestrator.manifest import file_discovery, schema, suggest
from orchestrator.manifest.document import Document, format_path, node_position
from orchestrator.manifest.yaml_conversion import NodeConverter
from orchestrator.manifest.yaml_syntax import parse_nodes
from orchestrator.problems import Position, Problem, Problems

API_VERSION = "orchestrator/v1"
ENVIRONMENTS = "environments"


class Layer(Struct, frozen=True):
    """The documents of one set of files, and the ``problems`` met while reading them."""

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    file: str = ""


class Sources(Struct, frozen=True):
    """All manifests of a folder: the base and one layer per environment.

    ``check`` raises ``problems`` together with its own.
    """

    folder: Path
    documents: tuple[Document, ...]
    environments: Mapping[str, Layer] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def load(folder: Path) -> Sources:
    """Read every ``*.yaml`` and ``*.yml`` below ``folder``; ``environments/NAME.yaml`` is an environment's layer.

    Raises Problems if the folder cannot be read or contains no manifest.
    """
    file_discovery.require_folder(folder)
    problems: list[Problem] = []
    manifest_files = list(file_discovery.find_files(folder, problems))
    base = _load_layer([file for file in manifest_files if file.parent != folder / ENVIRONMENTS], problems)
    layers: dict[str, Layer] = {}
    for file in manifest_files:
        if file.parent == folder / ENVIRONMENTS:
            if file.stem in layers:
                problems.append(
                    Problem(f"environment `{file.stem}` has two files", Position(file_discovery.display_path(file)))
                )
            layers.setdefault(file.stem, _load_layer([file], []))
    if not base.documents and not base.problems and not problems:
        message = f"no manifests (*.yaml) found in {file_discovery.display_path(folder)}"
        raise Problems.from_message(
            message, hint="start with a document `kind: Project`; see `orchestrator explain project`"
        )
    return Sources(folder, base.documents, layers, base.problems)


def _load_layer(files_in_layer: list[Path], problems: list[Problem]) -> Layer:
    problems = list(problems)
    documents: dict[str, Document] = {}
    for file in files_in_layer:
        for document in _read_documents(file, problems):
            first_document = documents.setdefault(document.handle, document)
            if first_document is not document:
                message = f"{document.handle} is declared twice; first at {first_document.where}"
                problems.append(Problem(message, document.where, "rename or remove one of the two"))
    return Layer(
        tuple(documents.values()),
        tuple(problems),
        file_discovery.display_path(files_in_layer[0]) if files_in_layer else "",
    )


def _read_documents(file: Path, problems: list[Problem]) -> Iterator[Document]:
    text = file_discovery.read_text(file, problems)
    if text is not None:
        yield from _parse_text(text, file_discovery.display_path(file), problems)


def document_from_value(value: Mapping[str, Any], file: str) -> Document:
    """Return the document of a stored ``value``; ``file`` is the file it was loaded from.

    Raises Problems if the value is not a manifest.
    """
    problems: list[Problem] = []
    parsed_documents = list(_parse_text(yaml.safe_dump(dict(value), sort_keys=False), file, problems))
    if problems or len(parsed_documents) != 1:
        raise Problems(problems or [Problem("expected exactly one manifest", Position(file))])
    return parsed_documents[0]


def parse_documents(text: str, file: str) -> list[Document]:
    """Return the documents of one file's ``text``, in order; positions name ``file``.

    Raises Problems if the text is not valid YAML or a document is not a manifest.
    """
    problems: list[Problem] = []
    parsed_documents = list(_parse_text(text, file, problems))
    if problems:
        raise Problems(problems)
    return parsed_documents


def _parse_text(text: str, display_name: str, problems: list[Problem]) -> Iterator[Document]:
    lines = tuple(text.split("\n"))
    converter = NodeConverter(display_name)
    for node in parse_nodes(text, display_name):
        if isinstance(node, Problem):
            problems.append(node)
            continue
        value = converter.to_value(node)
        document = _build_document(node, value, display_name, lines, problems)
        if document is not None:
            yield document
    problems += converter.problems


def _build_document(
    node: yaml.Node, value: Any, file: str, lines: tuple[str, ...], problems: list[Problem]
) -> Document | None:
    """Return the document of one node, or None if its kind or name is missing."""
    where = node_position(file, node)
    if value is None and isinstance(node, yaml.ScalarNode):
        return None
    if not isinstance(node, yaml.MappingNode) or not isinstance(value, dict):
        problems.append(Problem("a manifest must be a mapping of apiVersion, kind, metadata and spec", where))
        return None
    document_problems: list[Problem] = []
    draft = Document("?", "?", value, node, file, lines)
    kind = _read_kind(draft, document_problems)
    name = _read_name(draft, document_problems)
    _check_version(draft, document_problems)
    problems += document_problems
    return Document(kind, name, value, node, file, lines) if kind and name else None


def _read_kind(draft: Document, problems: list[Problem]) -> str | None:
    kind = draft.value.get("kind")
    if not isinstance(kind, str) or not kind:
        hint = f"set `kind` to one of {', '.join(schema.manifest_kinds())}"
        message = "`kind` is missing" if kind is None else "`kind` must be text"
        problems.append(Problem(message, _position_of(draft, "kind"), hint))
        return None
    if schema.manifest_kind(kind.lower()) == kind:
        return kind
    hint = suggest.hint(kind, schema.manifest_kinds(), list_prefix="available kinds") or ""
    problems.append(Problem(f"unknown kind `{kind[:60]}`", _position_of(draft, "kind"), hint))
    return None


def _check_version(draft: Document, problems: list[Problem]) -> None:
    version = draft.value.get("apiVersion")
    if version != API_VERSION:
        complaint = "is missing" if version is None else f"must be {API_VERSION}"
        problems.append(
            Problem(f"`apiVersion` {complaint}", _position_of(draft, "apiVersion"), f"set `apiVersion: {API_VERSION}`")
        )


def _read_name(draft: Document, problems: list[Problem]) -> str | None:
    metadata = draft.value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(name, str) and name:
        return name
    complaint = "is missing" if name is None else "must be text"
    hint = "set `metadata: {name: ...}`, using lower-case letters, digits and hyphens"
    problems.append(
        Problem(f"`{format_path(('metadata', 'name'))}` {complaint}", _position_of(draft, "metadata", "name"), hint)
    )
    return None


def _position_of(draft: Document, *path: str) -> Position:
    nodes = draft.find_nodes(path)
    return node_position(draft.file, nodes[-1][1]) if nodes else draft.where
