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

_PLAIN_KEY_PATTERN = re.compile(r"[\w-]+\Z")


def format_path(path: Iterable[str | int]) -> str:
    """A path as people write it: ``spec.cors[0].origins``; the document itself is ``the document``."""
    text = ""
    for part in path:
        if isinstance(part, int):
            text += f"[{part}]"
        elif _PLAIN_KEY_PATTERN.match(part):
            text += f".{part}" if text else part
        else:
            text += f'["{part}"]'
    return text or "the document"


def node_position(file: str, node: yaml.Node) -> Position:
    """Where a node begins."""
    return Position(file, node.start_mark.line + 1, node.start_mark.column + 1)


def _child_node(node: yaml.Node, part: str | int) -> tuple[yaml.Node, yaml.Node] | None:
    if isinstance(node, yaml.MappingNode):
        child = None
        for key, value in node.value:
            if key.value == part:
                child = (key, value)
        return child
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
        return node_position(self.file, self.node)

    def find_nodes(self, path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
        """Key and value of every part of ``path`` that is there, as far as it is there."""
        nodes: list[tuple[yaml.Node, yaml.Node]] = []
        node: yaml.Node = self.node
        for part in path:
            child = _child_node(node, part)
            if child is None:
                break
            nodes.append(child)
            node = child[1]
        return nodes


class Declaration(Struct, frozen=True, eq=False):
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
        document, nodes = self._deepest_match(path)
        if not nodes:
            return document.where
        key_and_value = nodes[-1]
        return node_position(document.file, key_and_value[0] if key and len(nodes) == len(path) else key_and_value[1])

    def find_node(self, path: Path) -> yaml.Node | None:
        """The YAML node at ``path``, or None where the value comes from a default."""
        _, nodes = self._deepest_match(path)
        return nodes[-1][1] if nodes and len(nodes) == len(path) else None

    def layer_index(self, path: Path) -> int:
        """Which layer says ``path``: 0 the base, 1 the environment; -1 none of them (a default)."""
        document, nodes = self._deepest_match(path)
        return self.layers.index(document) if len(nodes) == len(path) else -1

    def _deepest_match(self, path: Path) -> tuple[Document, list[tuple[yaml.Node, yaml.Node]]]:
        candidates = [(document, document.find_nodes(path)) for document in reversed(self.layers)]
        # A tie goes to the environment, except that nothing at all is said by the base.
        document, nodes = max(candidates, key=lambda candidate: len(candidate[1]))
        return (document, nodes) if nodes else (self.layers[0], nodes)
