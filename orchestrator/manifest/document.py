"""A manifest document: its values, and where in which file each of them stands.

Positions are looked up in the YAML nodes when something is wrong, so that a good manifest pays nothing for them.
May know: YAML nodes, ``problems``.  May not: read files, know any schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import yaml
from msgspec import Struct

from orchestrator.problems import Position

Path: TypeAlias = tuple[str | int, ...]

_PLAIN_KEY = re.compile(r"[\w-]+\Z")


def written(path: Iterable[str | int]) -> str:
    """A path as people write it: ``spec.cors[0].origins``; the document itself is ``the document``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY.match(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text or "the document"


def position(file: str, node: yaml.Node) -> Position:
    """Where a node begins."""
    return Position(file, node.start_mark.line + 1, node.start_mark.column + 1)


def _step(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        found = None
        for key, value in node.value:
            if key.value == part:
                found = (key, value)
        return found
    if isinstance(node, yaml.SequenceNode) and isinstance(part, int) and part < len(node.value):
        return node.value[part], node.value[part]
    return None


class Document(Struct, frozen=True, eq=False):
    """One YAML document as it stands in a file; ``lines`` are the file's."""

    kind: str
    name: str
    value: Mapping[str, Any]
    node: yaml.MappingNode
    file: str
    lines: tuple[str, ...]

    @property
    def handle(self) -> str:
        """How manifests refer to it: ``bucket.files``."""
        return f"{self.kind.lower()}.{self.name}"

    @property
    def where(self) -> Position:
        """Where the document begins."""
        return position(self.file, self.node)

    def nodes(self, path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
        """Key and value of every part of ``path`` that is there, as far as it is there."""
        found: list[tuple[yaml.Node, yaml.Node]] = []
        node: yaml.Node = self.node
        for part in path:
            step = _step(node, part)
            if step is None:
                break
            found.append(step)
            node = step[1]
        return found


class Declared(Struct, frozen=True, eq=False):
    """One component as its layers declare it together: the base document, then the environment's.

    ``value`` is what they come to; ``layers`` answer where a value was written.
    """

    value: Mapping[str, Any]
    layers: tuple[Document, ...]

    @property
    def kind(self) -> str:
        return self.layers[0].kind

    @property
    def name(self) -> str:
        return self.layers[0].name

    @property
    def handle(self) -> str:
        return self.layers[0].handle

    def where(self, path: Path = (), *, key: bool = False) -> Position:
        """Where the value at ``path`` was written (its key, when asked); its parent where it is not there at all."""
        document, found = self._deepest(path)
        if not found:
            return document.where
        pair = found[-1]
        return position(document.file, pair[0] if key and len(found) == len(path) else pair[1])

    def node(self, path: Path) -> yaml.Node | None:
        """The YAML node at ``path``, or None where the value comes from a default."""
        _, found = self._deepest(path)
        return found[-1][1] if found and len(found) == len(path) else None

    def layer(self, path: Path) -> int:
        """Which layer says ``path``: 0 the base, 1 the environment; -1 none of them (a default)."""
        document, found = self._deepest(path)
        return self.layers.index(document) if len(found) == len(path) else -1

    def _deepest(self, path: Path) -> tuple[Document, list[tuple[yaml.Node, yaml.Node]]]:
        candidates = [(document, document.nodes(path)) for document in reversed(self.layers)]
        # A tie goes to the environment, except that nothing at all is said by the base.
        document, found = max(candidates, key=lambda candidate: len(candidate[1]))
        return (document, found) if found else (self.layers[0], found)
