"""Edit one value in the text of a manifest without changing any other byte.  Pure.

A YAML library that writes what it has read also reformats the rest of the file.  Here the parser only provides the
position of a value; the text around it is kept, and the result is parsed again and compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml
from msgspec import Struct

from orchestrator.manifest.document import Document, Path, format_path
from orchestrator.manifest.load import API_VERSION, parse_documents
from orchestrator.problems import Position, Problems

REMOVE: Final = object()
"""Used instead of a value: remove the entry."""


class Insertion(Struct, frozen=True):
    """Used instead of a value: insert ``item`` into the list before the item at that index."""

    item: Any


_UNLIMITED_WIDTH: Final = 1 << 30


def edit_value(text: str, file: str, handle: str, path: Path, value: Any) -> str:
    """Return ``text`` with ``value`` at ``path`` of one document; an index one past the end of a list appends.

    Raises Problems if that would change anything else (an alias, an unusual layout).
    """
    old_documents = parse_documents(text, file)
    target = next((document for document in old_documents if document.handle == handle), None)
    if target is None:
        raise Problems.from_message(f"{file} does not declare {handle}", where=Position(file))
    if value is REMOVE:
        path = _expand_removal_path(target.value, path)
    try:
        new_text = _DocumentEditor(text, target).apply(path, value)
        new_documents = parse_documents(new_text, file)
    except (LookupError, Problems):
        new_documents, new_text = [], ""
    expected_values = [
        with_value(parsed.value, path, value) if parsed.handle == handle else parsed.value for parsed in old_documents
    ]
    if [parsed.value for parsed in new_documents] != expected_values:
        raise Problems.from_message(
            f"cannot edit {format_path(path)} automatically", where=target.where, hint="edit it manually"
        )
    return new_text


def remove_document(text: str, file: str, handle: str) -> str:
    """Return ``text`` without one document and the comment directly above it.

    Raises Problems if that would change another document.
    """
    old_documents = parse_documents(text, file)
    target = next((document for document in old_documents if document.handle == handle), None)
    if target is None:
        raise Problems.from_message(f"{file} does not declare {handle}", where=Position(file))
    lines = text.splitlines(keepends=True)
    start_line, end_line = _document_line_range(target, lines)
    new_text = "".join([*lines[:start_line], *lines[end_line:]])
    try:
        new_values = [parsed.value for parsed in parse_documents(new_text, file)]
    except Problems:
        new_values = []
    if new_values != [parsed.value for parsed in old_documents if parsed is not target]:
        raise Problems.from_message(
            f"cannot remove {handle} automatically", where=target.where, hint="edit it manually"
        )
    return new_text


def append_document(text: str, kind: str, name: str, path: Path, value: Any) -> str:
    """Return ``text`` with a new document appended that only sets ``value`` at ``path``."""
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}}
    lines = _block_lines(with_value(document, path, value))
    existing_text = text if not text.strip() or text.endswith("\n") else f"{text}\n"
    return existing_text + ("---\n" if _has_document(text) else "") + "".join(f"{line}\n" for line in lines)


def with_value(value: Any, path: Path, new: Any) -> Any:
    """Return ``value`` with ``new`` at ``path``, creating mappings on the way."""
    if not path:
        return new
    first_key, *remaining_path = path
    if isinstance(first_key, int):
        if new is REMOVE and not remaining_path:
            return [*value[:first_key], *value[first_key + 1 :]]
        if isinstance(new, Insertion) and not remaining_path:
            return [*value[:first_key], new.item, *value[first_key:]]
        old_value = value[first_key] if first_key < len(value) else {}
        return [*value[:first_key], with_value(old_value, tuple(remaining_path), new), *value[first_key + 1 :]]
    value = dict(value or {})
    if new is REMOVE and not remaining_path:
        value.pop(first_key, None)
    elif isinstance(remaining_path[0] if remaining_path else None, int) and not value.get(first_key):
        value[first_key] = with_value([], tuple(remaining_path), new)
    else:
        value[first_key] = with_value(value.get(first_key), tuple(remaining_path), new)
    return value


def _expand_removal_path(value: Any, path: Path) -> Path:
    """Return ``path``, or the path of the outermost parent that its removal would leave empty."""
    while len(path) > 2:
        parent = value
        for part in path[:-1]:
            parent = parent[part]
        if len(parent) > 1:
            break
        path = path[:-1]
    return path


def _document_line_range(document: Document, lines: list[str]) -> tuple[int, int]:
    """Return the first line of a document and the line after its last, with one ``---`` and the comment above it."""
    start_line = document.node.start_mark.line
    end_line = next(
        (line_number for line_number in range(start_line, len(lines)) if lines[line_number].startswith("---")),
        len(lines),
    )
    while start_line and lines[start_line - 1].startswith("#"):
        start_line -= 1
    if start_line and lines[start_line - 1].startswith("---"):
        return start_line - 1, end_line
    return start_line, end_line + (end_line < len(lines))


def _has_document(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.split("\n"))


class _DocumentEditor:
    """Edits the text of one document."""

    def __init__(self, text: str, document: Document) -> None:
        self.text = text
        self.document = document
        self._line_offsets = [0]
        for line in text.split("\n"):
            self._line_offsets.append(self._line_offsets[-1] + len(line) + 1)

    def apply(self, path: Path, value: Any) -> str:
        nodes = self.document.find_nodes(path)
        if value is REMOVE:
            return self._remove(nodes[-2][1] if len(nodes) > 1 else self.document.node, *nodes[-1])
        if isinstance(value, Insertion):
            if len(nodes) == len(path):
                return self._insert_item(nodes[-2][1], nodes[-1][1], value.item)
            value = value.item
        if len(nodes) == len(path):
            return self._replace(nodes[-1][1], value)
        parent = nodes[-1][1] if nodes else self.document.node
        missing_path = path[len(nodes) :]
        if isinstance(parent, yaml.SequenceNode):
            return self._append_item(
                parent, with_value({}, tuple(missing_path[1:]), value) if missing_path[1:] else value
            )
        nested_value = with_value({}, missing_path, value)
        if isinstance(parent, yaml.MappingNode):
            return self._insert_keys(parent, nested_value)
        raise LookupError(format_path(path))

    def _offset(self, mark: yaml.Mark) -> int:
        return self._line_offsets[mark.line] + mark.column

    def _end_offset(self, key: yaml.Node, node: yaml.Node) -> int:
        """Return the offset at which the text of a node ends; its end mark may be after comments."""
        end = self._offset(node.end_mark)
        if isinstance(node, yaml.ScalarNode):
            if node.style in {"|", ">"}:
                return len(self.text[:end].rstrip())
            if not node.value and not node.style:
                return self.text.index(":", self._offset(key.end_mark)) + 1
            return end
        if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
            return end
        last_child = node.value[-1]
        return (
            self._end_offset(*last_child)
            if isinstance(node, yaml.MappingNode)
            else self._end_offset(last_child, last_child)
        )

    def _next_line_offset(self, offset: int) -> int:
        newline_offset = self.text.find("\n", offset)
        return len(self.text) if newline_offset < 0 else newline_offset + 1

    def _replace(self, node: yaml.Node, value: Any) -> str:
        start, end = self._offset(node.start_mark), self._end_offset(node, node)
        if isinstance(node, yaml.SequenceNode) and not node.flow_style and isinstance(value, list) and value:
            new_text = f"\n{' ' * node.start_mark.column}".join(f"- {_to_flow(item)}" for item in value)
        else:
            new_text = _to_flow(value, node.style if isinstance(node, yaml.ScalarNode) else None)
        return self.text[:start] + new_text + self.text[end:]

    def _insert_keys(self, parent: yaml.MappingNode, entries: Mapping[str, Any]) -> str:
        if parent.flow_style:
            return self._append_to_flow(parent, _to_flow(entries)[1:-1])
        offset = self._next_line_offset(self._end_offset(*parent.value[-1]))
        indent = " " * parent.value[0][0].start_mark.column
        return self._insert_lines(offset, [f"{indent}{line}" for line in _block_lines(entries)])

    def _append_item(self, parent: yaml.SequenceNode, item: Any) -> str:
        if parent.flow_style:
            return self._append_to_flow(parent, _to_flow(item))
        offset = self._next_line_offset(self._end_offset(parent.value[-1], parent.value[-1]))
        return self._insert_lines(offset, [f"{' ' * parent.start_mark.column}{line}" for line in _item_lines(item)])

    def _insert_item(self, parent: yaml.Node, node: yaml.Node, item: Any) -> str:
        """Return the text with ``item`` inserted before the list item ``node`` and the comment above it."""
        if isinstance(parent, yaml.CollectionNode) and parent.flow_style:
            offset = self._offset(node.start_mark)
            return f"{self.text[:offset]}{_to_flow(item)}, {self.text[offset:]}"
        line_number = node.start_mark.line
        while line_number and self.text[
            self._line_offsets[line_number - 1] : self._line_offsets[line_number]
        ].lstrip().startswith("#"):
            line_number -= 1
        return self._insert_lines(
            self._line_offsets[line_number],
            [f"{' ' * parent.start_mark.column}{item_line}" for item_line in _item_lines(item)],
        )

    def _append_to_flow(self, parent: yaml.MappingNode | yaml.SequenceNode, new_text: str) -> str:
        if not parent.value:
            offset = self._offset(parent.start_mark) + 1
            return self.text[:offset] + new_text + self.text[offset:]
        last_child = parent.value[-1]
        offset = (
            self._end_offset(*last_child) if isinstance(last_child, tuple) else self._end_offset(last_child, last_child)
        )
        return f"{self.text[:offset]}, {new_text}{self.text[offset:]}"

    def _insert_lines(self, offset: int, lines: list[str]) -> str:
        preceding_text = self.text[:offset]
        preceding_text += "" if preceding_text.endswith("\n") or not preceding_text else "\n"
        return preceding_text + "".join(f"{line}\n" for line in lines) + self.text[offset:]

    def _remove(self, parent: yaml.Node, key: yaml.Node, node: yaml.Node) -> str:
        start, end = self._offset(key.start_mark), self._end_offset(key, node)
        if isinstance(parent, yaml.CollectionNode) and parent.flow_style:
            following_text = self.text[end:].lstrip()
            if following_text.startswith(","):
                return self.text[:start] + following_text[1:].lstrip()
            return self.text[:start].rstrip().removesuffix(",") + self.text[end:]
        line_offset = self._line_offsets[key.start_mark.line]
        return self.text[:line_offset] + self.text[self._next_line_offset(end) :]


def _block_lines(value: Mapping[str, Any]) -> Iterator[str]:
    """Yield the lines of a mapping in block style, with lists of scalars on one line."""
    for key, item in value.items():
        if item and isinstance(item, Mapping):
            yield f"{_to_flow(key)}:"
            yield from (f"  {line}" for line in _block_lines(item))
        elif isinstance(item, list) and any(isinstance(element, Mapping) for element in item):
            yield f"{_to_flow(key)}:"
            yield from (f"  {line}" for element in item for line in _item_lines(element))
        else:
            yield f"{_to_flow(key)}: {_to_flow(item)}"


def _item_lines(value: Any) -> Iterator[str]:
    lines = list(_block_lines(value)) if isinstance(value, Mapping) and value else [_to_flow(value)]
    yield f"- {lines[0]}"
    yield from (f"  {line}" for line in lines[1:])


def _to_flow(value: Any, style: str | None = None) -> str:
    """Return a value on one line in flow style; text keeps its quotes."""
    quote_style = style if isinstance(value, str) and style in {"'", '"'} else None
    text: str = yaml.dump(
        [value],
        Dumper=yaml.CSafeDumper,
        default_flow_style=True,
        default_style=quote_style,
        width=_UNLIMITED_WIDTH,
        allow_unicode=True,
        sort_keys=False,
    )
    return text.strip()[1:-1]
