"""How one value is shown: as JSON on one line, redacted, harmless, and cut in the middle when it is long.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.redaction.redact import redact, safe, visible
from orchestrator.vocabulary import TAG_COMPONENT, TAG_DELETION, TAG_ENVIRONMENT, TAG_PROJECT, FieldChange

LONGEST: Final = 160
"""Characters of a value before its middle is left out."""

_CONTEXT = 24
_MARKS: Final = frozenset({TAG_PROJECT, TAG_ENVIRONMENT, TAG_COMPONENT, TAG_DELETION})


class FieldView(Struct, frozen=True):
    """One line of a change: ``path: before -> after``; None where there is nothing on that side."""

    path: str
    before: str | None
    after: str | None

    @property
    def sign(self) -> str:
        """``+`` for what comes, ``-`` for what goes, ``~`` for what changes."""
        return "+" if self.before is None else "-" if self.after is None else "~"

    def __str__(self) -> str:
        return f"{self.path}: " + " -> ".join(side for side in (self.before, self.after) if side is not None)


def show(value: Any) -> str:
    """JSON on one line, nothing in it that acts; references and secrets stand without quotes."""
    if isinstance(value, str) and (value == "(secret)" or (value.startswith("${") and value.endswith("}"))):
        return visible(value)
    return visible(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))


def shorten(text: str, limit: int = LONGEST) -> str:
    """``text`` in at most ``limit`` characters or so: its middle makes way for its length."""
    if len(text) <= limit:
        return text
    note = f"…({len(text):,} characters)…"
    kept = max(8, limit - len(note))
    return f"{text[: kept - kept // 3]}{note}{text[len(text) - kept // 3 :]}"


def field_views(fields: tuple[FieldChange, ...], limit: int = LONGEST) -> tuple[FieldView, ...]:
    """Field changes as lines: mappings member by member, lists by what comes and goes.

    Nothing that stays nothing (null where nothing was) has no line.
    """
    told = (field for field in fields if field.before is not None or field.after is not None)
    return tuple(view for field in told for view in _views(field.path, field.before, field.after, limit))


def _views(path: tuple[str, ...], before: Any, after: Any, limit: int) -> Iterator[FieldView]:
    key = path[-1] if path else ""
    sides = [side for side in (before, after) if side is not None]
    if sides and all(isinstance(side, Mapping) and side for side in sides):
        before, after = before or {}, after or {}
        if not before and after.keys() >= _MARKS:
            yield _mark((*path, "orchestrator:*"), after)
            after = {name: value for name, value in after.items() if not name.startswith("orchestrator:")}
        for name in dict.fromkeys([*before, *after]):
            yield from _members((*path, str(name)), before.get(name), after.get(name), limit)
    elif isinstance(before, list) and isinstance(after, list) and _by_place(before, after):
        for number, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _members((*path[:-1], f"{key}[{number}]"), old, new, limit)
    elif isinstance(before, list) and isinstance(after, list) and _by_item(before, after):
        yield from _items(path, before, after, limit)
    elif before is None and isinstance(after, list) and len(after) > 1 and len(show(after)) > limit:
        yield from _items(path, [], after, limit)
    else:
        yield _view(path, redact(before, key), redact(after, key), limit)


def _mark(path: tuple[str, ...], tags: Mapping[str, Any]) -> FieldView:
    """The ownership marks of a new thing, four tags, on one line."""
    owner = "/".join(str(tags[name]) for name in (TAG_PROJECT, TAG_ENVIRONMENT))
    words = [owner, *(str(tags[name]) for name in sorted(tags) if name in _MARKS - {TAG_PROJECT, TAG_ENVIRONMENT})]
    return FieldView(_path(path), None, shorten(show(" ".join(words)), LONGEST))


def _members(path: tuple[str, ...], before: Any, after: Any, limit: int) -> Iterator[FieldView]:
    if before != after or type(before) is not type(after):
        yield from _views(path, before, after, limit)


def _by_place(before: list[Any], after: list[Any]) -> bool:
    """Whether each item is still there, where it was, with the same keys: then only what differs in it is told."""
    if len(before) != len(after) or not all(isinstance(item, Mapping) and item for item in (*before, *after)):
        return False
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    return all(old.keys() == new.keys() and old not in after and new not in before for old, new in changed)


def _by_item(before: list[Any], after: list[Any]) -> bool:
    """Whether the items tell the story: something stays, and something comes or goes."""
    same = sum(item in before for item in after)
    return 0 < same < max(len(before), len(after))


def _items(path: tuple[str, ...], before: list[Any], after: list[Any], limit: int) -> Iterator[FieldView]:
    inner = (*path[:-1], f"{path[-1]}[]") if path else ("[]",)
    key = path[-1] if path else ""
    for item in before:
        if item not in after:
            yield FieldView(_path(inner), shorten(show(redact(item, key)), limit), None)
    for item in after:
        if item not in before:
            yield FieldView(_path(inner), None, shorten(show(redact(item, key)), limit))


def _view(path: tuple[str, ...], before: Any, after: Any, limit: int) -> FieldView:
    old = None if before is None else show(before)
    new = None if after is None else show(after)
    if old is not None and new is not None:
        old, new = around_difference(old, new, limit, _CONTEXT)
    return FieldView(_path(path), old and shorten(old, limit), new and shorten(new, limit))


def around_difference(old: str, new: str, limit: int, most: int = LONGEST) -> tuple[str, str]:
    """Both without most of what they share, so that cutting at ``limit`` does not hide what differs.

    ``most`` characters of what they share stay on either side, fewer where there is no room.
    """
    if max(len(old), len(new)) <= limit:
        return old, new
    shared = next((n for n, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))
    rest = min(len(old), len(new)) - shared
    tail = next((n for n in range(rest) if old[-1 - n] != new[-1 - n]), rest)
    differing = max(len(old), len(new)) - shared - tail
    context = min(most, max(_CONTEXT, (limit - differing - 2) // 2))
    start, end = max(0, shared - context), max(0, tail - context)
    return _window(old, start, end), _window(new, start, end)


def _window(text: str, start: int, end: int) -> str:
    head = "…" if start else ""
    tail = "…" if end else ""
    return f"{head}{text[start : len(text) - end]}{tail}"


def _path(path: tuple[str, ...]) -> str:
    return shorten(safe(".".join(path)) or "(all)", 120)
