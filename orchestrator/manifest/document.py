"""Hold a manifest document: its values, and the file position of each.

Positions are looked up in the YAML nodes only when there is a problem, so that a valid manifest costs nothing extra.
This module knows YAML nodes and ``problems``; it reads no files and knows no schema.
"""

from __future__ import annotations

import re
import sys
from collections.abc import Iterable, Mapping
from typing import Any, TypeAlias

import yaml
from msgspec import Struct, field

from orchestrator.problems import Position

Path: TypeAlias = tuple[str | int, ...]
ListOrigins: TypeAlias = tuple[tuple[int | None, int | None], ...]
"""Of each item of a merged list its index in the base and in the environment; None if that layer has no such item."""

_PAST_THE_END = sys.maxsize
_PLAIN_KEY_PATTERN = re.compile(r"[\w-]+\Z")


def format_path(path: Iterable[str | int]) -> str:
    """Return a path as users write it: ``spec.cors[0].origins``; the empty path is ``the document``."""
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
    """Return the position at which a node begins."""
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
    """One YAML document of a file; ``lines`` are the lines of the file."""

    kind: str
    name: str
    value: Mapping[str, Any]
    node: yaml.MappingNode
    file: str
    lines: tuple[str, ...]

    @property
    def handle(self) -> str:
        """Handle by which manifests refer to it: ``bucket.files``."""
        return f"{self.kind.lower()}.{self.name}"

    @property
    def where(self) -> Position:
        """Position at which the document begins."""
        return node_position(self.file, self.node)

    def find_nodes(self, path: Path) -> list[tuple[yaml.Node, yaml.Node]]:
        """Return the key and value nodes along ``path``, up to the first part that does not exist."""
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
    """One component as its layers declare it: the base document, then the environment's.

    ``value`` is the merged value; ``layers`` tell where each value was written, and ``list_origins`` by the path of a
    list that was merged by key which item is which.
    """

    value: Mapping[str, Any]
    layers: tuple[Document, ...]
    list_origins: Mapping[Path, ListOrigins] = field(default_factory=dict)

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
        """Return the position of the value at ``path`` (``key``: of its key), or of its parent if it is missing."""
        document, nodes = self._deepest_match(path)
        if not nodes:
            return document.where
        key_and_value = nodes[-1]
        return node_position(document.file, key_and_value[0] if key and len(nodes) == len(path) else key_and_value[1])

    def find_node(self, path: Path) -> yaml.Node | None:
        """Return the YAML node at ``path``, or None if the value comes from a default."""
        _, nodes = self._deepest_match(path)
        return nodes[-1][1] if nodes and len(nodes) == len(path) else None

    def layer_index(self, path: Path) -> int:
        """Return the layer that sets ``path``: 0 the base, 1 the environment, -1 neither (a default)."""
        document, nodes = self._deepest_match(path)
        return self.layers.index(document) if len(nodes) == len(path) else -1

    def path_in_layer(self, layer: int, path: Path) -> Path:
        """Return ``path`` of the merged value as layer number ``layer`` writes it.

        An item that the layer does not have gets an index past the end of its list.
        """
        layer_path: list[str | int] = []
        for index, part in enumerate(path):
            origins = self.list_origins.get(path[:index])
            if origins is None or not isinstance(part, int):
                layer_path.append(part)
                continue
            layer_index = origins[part][layer] if part < len(origins) else None
            layer_path.append(_PAST_THE_END if layer_index is None else layer_index)
        return tuple(layer_path)

    def _deepest_match(self, path: Path) -> tuple[Document, list[tuple[yaml.Node, yaml.Node]]]:
        candidates = [
            (document, document.find_nodes(self.path_in_layer(index, path)))
            for index, document in reversed(list(enumerate(self.layers)))
        ]
        # A tie goes to the environment; if no layer has any part of the path, the base is the place to report.
        document, nodes = max(candidates, key=lambda candidate: len(candidate[1]))
        return (document, nodes) if nodes else (self.layers[0], nodes)
