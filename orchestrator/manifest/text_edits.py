"""Editing the text of a manifest: one value, and not a byte beside it.  Pure.

A YAML library that writes what it has read also rewraps and respells what nobody asked it to.  Here the parser only
says where a value stands; the text around it is kept as it is, and the result is read again and compared.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, Final

import yaml
from msgspec import Struct

from orchestrator.manifest.document import Document, Path, written
from orchestrator.manifest.load import API_VERSION, documents
from orchestrator.problems import Position, Problems

REMOVED: Final = object()
"""In place of a value: the entry goes."""


class Inserted(Struct, frozen=True):
    """In place of a value: ``item`` comes into the list before what stands at that place."""

    item: Any


_WIDE: Final = 1 << 30


def edit(text: str, file: str, handle: str, path: Path, value: Any) -> str:
    """``text`` with ``value`` at ``path`` of one document; one past the end of a list appends.

    Raises Problems where that cannot be done without touching something else (an alias, an odd layout).
    """
    before = documents(text, file)
    found = next((document for document in before if document.handle == handle), None)
    if found is None:
        raise Problems.one(f"there is no {handle} in {file}", where=Position(file))
    if value is REMOVED:
        path = _emptied(found.value, path)
    try:
        made = _Splice(text, found).made(path, value)
        after = documents(made, file)
    except (LookupError, Problems):
        after, made = [], ""
    wanted = [changed(one.value, path, value) if one.handle == handle else one.value for one in before]
    if [one.value for one in after] != wanted:
        raise Problems.one(
            f"{written(path)} cannot be edited there by a tool", where=found.where, hint="edit it by hand"
        )
    return made


def drop(text: str, file: str, handle: str) -> str:
    """``text`` without one document, and without the comment that stands right above it.

    Raises Problems where that cannot be done without touching another.
    """
    before = documents(text, file)
    found = next((document for document in before if document.handle == handle), None)
    if found is None:
        raise Problems.one(f"there is no {handle} in {file}", where=Position(file))
    lines = text.splitlines(keepends=True)
    first, last = _lines_of(found, lines)
    made = "".join([*lines[:first], *lines[last:]])
    try:
        after = [one.value for one in documents(made, file)]
    except Problems:
        after = []
    if after != [one.value for one in before if one is not found]:
        raise Problems.one(f"{handle} cannot be taken out there by a tool", where=found.where, hint="edit it by hand")
    return made


def append(text: str, kind: str, name: str, path: Path, value: Any) -> str:
    """``text`` with a new document at its end that says ``value`` at ``path`` and nothing else."""
    document = {"apiVersion": API_VERSION, "kind": kind, "metadata": {"name": name}}
    lines = _block(changed(document, path, value))
    start = text if not text.strip() or text.endswith("\n") else f"{text}\n"
    return start + ("---\n" if _holds_document(text) else "") + "".join(f"{line}\n" for line in lines)


def changed(value: Any, path: Path, new: Any) -> Any:
    """``value`` with ``new`` at ``path``; mappings on the way are made."""
    if not path:
        return new
    head, *rest = path
    if isinstance(head, int):
        if new is REMOVED and not rest:
            return [*value[:head], *value[head + 1 :]]
        if isinstance(new, Inserted) and not rest:
            return [*value[:head], new.item, *value[head:]]
        old = value[head] if head < len(value) else {}
        return [*value[:head], changed(old, tuple(rest), new), *value[head + 1 :]]
    value = dict(value or {})
    if new is REMOVED and not rest:
        value.pop(head, None)
    elif isinstance(rest[0] if rest else None, int) and not value.get(head):
        value[head] = changed([], tuple(rest), new)
    else:
        value[head] = changed(value.get(head), tuple(rest), new)
    return value


def _emptied(value: Any, path: Path) -> Path:
    """``path``, or what is left without content when it goes."""
    while len(path) > 2:
        inner = value
        for part in path[:-1]:
            inner = inner[part]
        if len(inner) > 1:
            break
        path = path[:-1]
    return path


def _lines_of(document: Document, lines: list[str]) -> tuple[int, int]:
    """The first line of a document and the one after its last, with one ``---`` and the comment right above it."""
    first = document.node.start_mark.line
    end = next((at for at in range(first, len(lines)) if lines[at].startswith("---")), len(lines))
    while first and lines[first - 1].startswith("#"):
        first -= 1
    if first and lines[first - 1].startswith("---"):
        return first - 1, end
    return first, end + (end < len(lines))


def _holds_document(text: str) -> bool:
    return any(line.strip() and not line.lstrip().startswith("#") for line in text.split("\n"))


class _Splice:
    """One document in its text."""

    def __init__(self, text: str, document: Document) -> None:
        self.text = text
        self.document = document
        self._starts = [0]
        for line in text.split("\n"):
            self._starts.append(self._starts[-1] + len(line) + 1)

    def made(self, path: Path, value: Any) -> str:
        found = self.document.nodes(path)
        if value is REMOVED:
            return self._without(found[-2][1] if len(found) > 1 else self.document.node, *found[-1])
        if isinstance(value, Inserted):
            if len(found) == len(path):
                return self._before(found[-2][1], found[-1][1], value.item)
            value = value.item
        if len(found) == len(path):
            return self._replaced(found[-1][1], value)
        parent = found[-1][1] if found else self.document.node
        rest = path[len(found) :]
        if isinstance(parent, yaml.SequenceNode):
            return self._appended(parent, changed({}, tuple(rest[1:]), value) if rest[1:] else value)
        inner = changed({}, rest, value)
        if isinstance(parent, yaml.MappingNode):
            return self._inserted(parent, inner)
        raise LookupError(written(path))

    def _index(self, mark: yaml.Mark) -> int:
        return self._starts[mark.line] + mark.column

    def _end(self, key: yaml.Node, node: yaml.Node) -> int:
        """Where what is written of a node ends; its end mark may lie behind comments."""
        end = self._index(node.end_mark)
        if isinstance(node, yaml.ScalarNode):
            if node.style in {"|", ">"}:
                return len(self.text[:end].rstrip())
            if not node.value and not node.style:
                return self.text.index(":", self._index(key.end_mark)) + 1
            return end
        if not isinstance(node, yaml.CollectionNode) or node.flow_style or not node.value:
            return end
        last = node.value[-1]
        return self._end(*last) if isinstance(node, yaml.MappingNode) else self._end(last, last)

    def _line_after(self, index: int) -> int:
        end = self.text.find("\n", index)
        return len(self.text) if end < 0 else end + 1

    def _replaced(self, node: yaml.Node, value: Any) -> str:
        start, end = self._index(node.start_mark), self._end(node, node)
        if isinstance(node, yaml.SequenceNode) and not node.flow_style and isinstance(value, list) and value:
            new = f"\n{' ' * node.start_mark.column}".join(f"- {_flow(item)}" for item in value)
        else:
            new = _flow(value, node.style if isinstance(node, yaml.ScalarNode) else None)
        return self.text[:start] + new + self.text[end:]

    def _inserted(self, parent: yaml.MappingNode, inner: Mapping[str, Any]) -> str:
        if parent.flow_style:
            return self._in_flow(parent, _flow(inner)[1:-1])
        at = self._line_after(self._end(*parent.value[-1]))
        indent = " " * parent.value[0][0].start_mark.column
        return self._lines(at, [f"{indent}{line}" for line in _block(inner)])

    def _appended(self, parent: yaml.SequenceNode, item: Any) -> str:
        if parent.flow_style:
            return self._in_flow(parent, _flow(item))
        at = self._line_after(self._end(parent.value[-1], parent.value[-1]))
        return self._lines(at, [f"{' ' * parent.start_mark.column}{line}" for line in _item(item)])

    def _before(self, parent: yaml.Node, node: yaml.Node, item: Any) -> str:
        """The list with ``item`` right before the ``node`` that it holds, and before the comment above that."""
        if isinstance(parent, yaml.CollectionNode) and parent.flow_style:
            at = self._index(node.start_mark)
            return f"{self.text[:at]}{_flow(item)}, {self.text[at:]}"
        line = node.start_mark.line
        while line and self.text[self._starts[line - 1] : self._starts[line]].lstrip().startswith("#"):
            line -= 1
        return self._lines(self._starts[line], [f"{' ' * parent.start_mark.column}{one}" for one in _item(item)])

    def _in_flow(self, parent: yaml.MappingNode | yaml.SequenceNode, new: str) -> str:
        if not parent.value:
            at = self._index(parent.start_mark) + 1
            return self.text[:at] + new + self.text[at:]
        last = parent.value[-1]
        at = self._end(*last) if isinstance(last, tuple) else self._end(last, last)
        return f"{self.text[:at]}, {new}{self.text[at:]}"

    def _lines(self, at: int, lines: list[str]) -> str:
        before = self.text[:at]
        before += "" if before.endswith("\n") or not before else "\n"
        return before + "".join(f"{line}\n" for line in lines) + self.text[at:]

    def _without(self, parent: yaml.Node, key: yaml.Node, node: yaml.Node) -> str:
        start, end = self._index(key.start_mark), self._end(key, node)
        if isinstance(parent, yaml.CollectionNode) and parent.flow_style:
            tail = self.text[end:].lstrip()
            if tail.startswith(","):
                return self.text[:start] + tail[1:].lstrip()
            return self.text[:start].rstrip().removesuffix(",") + self.text[end:]
        line = self._starts[key.start_mark.line]
        return self.text[:line] + self.text[self._line_after(end) :]


def _block(value: Mapping[str, Any]) -> Iterator[str]:
    """The lines of a mapping as people write one: lists of scalars on one line."""
    for key, item in value.items():
        if item and isinstance(item, Mapping):
            yield f"{_flow(key)}:"
            yield from (f"  {line}" for line in _block(item))
        elif isinstance(item, list) and any(isinstance(each, Mapping) for each in item):
            yield f"{_flow(key)}:"
            yield from (f"  {line}" for each in item for line in _item(each))
        else:
            yield f"{_flow(key)}: {_flow(item)}"


def _item(value: Any) -> Iterator[str]:
    lines = list(_block(value)) if isinstance(value, Mapping) and value else [_flow(value)]
    yield f"- {lines[0]}"
    yield from (f"  {line}" for line in lines[1:])


def _flow(value: Any, style: str | None = None) -> str:
    """A value on one line, fit to stand in a list; text in the quotes that it had."""
    quoted = style if isinstance(value, str) and style in {"'", '"'} else None
    text: str = yaml.dump(
        [value],
        Dumper=yaml.CSafeDumper,
        default_flow_style=True,
        default_style=quoted,
        width=_WIDE,
        allow_unicode=True,
        sort_keys=False,
    )
    return text.strip()[1:-1]
