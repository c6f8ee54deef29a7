"""Manifest files -> documents with positions.

May do: list and read files below one folder.  May not: know schemas, write, or give up at the first problem: what
is wrong in one file is kept in ``Sources.problems``, and the others are read all the same.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import yaml
from msgspec import Struct, field

from orchestrator.manifest import file_discovery, schema, suggest
from orchestrator.manifest.document import Document, position, written
from orchestrator.manifest.yaml_nodes import compose
from orchestrator.manifest.yaml_values import Converter
from orchestrator.problems import Position, Problem, Problems

API_VERSION = "orchestrator/v1"
ENVIRONMENTS = "environments"


class Layer(Struct, frozen=True):
    """What one set of files declares; ``problems`` hold what could not be read."""

    documents: tuple[Document, ...] = ()
    problems: tuple[Problem, ...] = ()
    file: str = ""


class Sources(Struct, frozen=True):
    """All manifests of a folder: the base, and a layer an environment.  ``check`` raises ``problems`` with its own."""

    folder: Path
    documents: tuple[Document, ...]
    environments: Mapping[str, Layer] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()


def load(folder: Path) -> Sources:
    """Read every ``*.yaml`` and ``*.yml`` below ``folder``; ``environments/NAME.yaml`` is an environment's layer.

    Raises Problems when the folder cannot be read or holds no manifest at all.
    """
    file_discovery.expect_folder(folder)
    problems: list[Problem] = []
    found = list(file_discovery.find(folder, problems))
    base = _layer([file for file in found if file.parent != folder / ENVIRONMENTS], problems)
    layers: dict[str, Layer] = {}
    for file in found:
        if file.parent == folder / ENVIRONMENTS:
            if file.stem in layers:
                problems.append(
                    Problem(f"the environment {file.stem} has two files", Position(file_discovery.shown(file)))
                )
            layers.setdefault(file.stem, _layer([file], []))
    if not base.documents and not base.problems and not problems:
        message = f"there are no manifests (*.yaml) below {file_discovery.shown(folder)}"
        raise Problems.one(message, hint="begin with a document `kind: Project`; see `orchestrator explain project`")
    return Sources(folder, base.documents, layers, base.problems)


def _layer(paths: list[Path], problems: list[Problem]) -> Layer:
    problems = list(problems)
    documents: dict[str, Document] = {}
    for file in paths:
        for document in _documents(file, problems):
            first = documents.setdefault(document.handle, document)
            if first is not document:
                message = f"{document.handle} is declared twice; first at {first.where}"
                problems.append(Problem(message, document.where, "give one of the two another name, or remove it"))
    return Layer(tuple(documents.values()), tuple(problems), file_discovery.shown(paths[0]) if paths else "")


def _documents(file: Path, problems: list[Problem]) -> Iterator[Document]:
    text = file_discovery.text(file, problems)
    if text is not None:
        yield from _parsed(text, file_discovery.shown(file), problems)


def recall(value: Mapping[str, Any], file: str) -> Document:
    """A document that was loaded before, from its ``value``; ``file`` is where it stood then.

    Raises Problems when it is no manifest.
    """
    problems: list[Problem] = []
    found = list(_parsed(yaml.safe_dump(dict(value), sort_keys=False), file, problems))
    if problems or len(found) != 1:
        raise Problems(problems or [Problem("this is not one manifest", Position(file))])
    return found[0]


def documents(text: str, file: str) -> list[Document]:
    """The documents of one file's ``text``, in order; ``file`` is what positions name.

    Raises Problems.
    """
    problems: list[Problem] = []
    found = list(_parsed(text, file, problems))
    if problems:
        raise Problems(problems)
    return found


def _parsed(text: str, shown: str, problems: list[Problem]) -> Iterator[Document]:
    lines = tuple(text.split("\n"))
    converter = Converter(shown)
    for node in compose(text, shown):
        if isinstance(node, Problem):
            problems.append(node)
            continue
        value = converter.value(node)
        document = _document(node, value, shown, lines, problems)
        if document is not None:
            yield document
    problems += converter.problems


def _document(
    node: yaml.Node, value: Any, file: str, lines: tuple[str, ...], problems: list[Problem]
) -> Document | None:
    """The document of one node, or None where it does not say what it is."""
    where = position(file, node)
    if value is None and isinstance(node, yaml.ScalarNode):
        return None
    if not isinstance(node, yaml.MappingNode) or not isinstance(value, dict):
        problems.append(Problem("a manifest is a mapping: apiVersion, kind, metadata, spec", where))
        return None
    found: list[Problem] = []
    probe = Document("?", "?", value, node, file, lines)
    kind = _kind(probe, found)
    name = _name(probe, found)
    _check_version(probe, found)
    problems += found
    return Document(kind, name, value, node, file, lines) if kind and name else None


def _kind(probe: Document, problems: list[Problem]) -> str | None:
    kind = probe.value.get("kind")
    if not isinstance(kind, str) or not kind:
        hint = f"kind: one of {', '.join(schema.kinds())}"
        message = "`kind` is missing" if kind is None else "`kind` must be text"
        problems.append(Problem(message, _place(probe, "kind"), hint))
        return None
    if schema.kind_of(kind.lower()) == kind:
        return kind
    hint = suggest.hint(kind, schema.kinds(), there_are="the kinds are") or ""
    problems.append(Problem(f"there is no kind `{kind[:60]}`", _place(probe, "kind"), hint))
    return None


def _check_version(probe: Document, problems: list[Problem]) -> None:
    version = probe.value.get("apiVersion")
    if version != API_VERSION:
        said = "is missing" if version is None else f"must be {API_VERSION}"
        problems.append(Problem(f"`apiVersion` {said}", _place(probe, "apiVersion"), f"apiVersion: {API_VERSION}"))


def _name(probe: Document, problems: list[Problem]) -> str | None:
    metadata = probe.value.get("metadata")
    name = metadata.get("name") if isinstance(metadata, dict) else None
    if isinstance(name, str) and name:
        return name
    said = "is missing" if name is None else "must be text"
    hint = "metadata: {name: ...}, in lower case letters, digits and hyphens"
    problems.append(Problem(f"`{written(('metadata', 'name'))}` {said}", _place(probe, "metadata", "name"), hint))
    return None


def _place(probe: Document, *path: str) -> Position:
    found = probe.nodes(path)
    return position(probe.file, found[-1][1]) if found else probe.where
