"""How one value is shown: as JSON on one line, redacted, harmless, and cut in the middle when it is long.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.redaction.redact import escape_unprintable, redact, sanitise
from orchestrator.vocabulary import TAG_COMPONENT, TAG_DELETION_POLICY, TAG_ENVIRONMENT, TAG_PROJECT, FieldChange

MAX_VALUE_CHARACTERS: Final = 160
"""Characters of a value before its middle is left out."""

_MIN_CONTEXT_CHARACTERS = 24
_OWNERSHIP_TAGS: Final = frozenset({TAG_PROJECT, TAG_ENVIRONMENT, TAG_COMPONENT, TAG_DELETION_POLICY})


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
        return f"{self.path}: " + " -> ".join(value for value in (self.before, self.after) if value is not None)


def format_value(value: Any) -> str:
    """JSON on one line, nothing in it that acts; references and secrets stand without quotes."""
    if isinstance(value, str) and (value == "(secret)" or (value.startswith("${") and value.endswith("}"))):
        return escape_unprintable(value)
    return escape_unprintable(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))


def shorten(text: str, max_characters: int = MAX_VALUE_CHARACTERS) -> str:
    """``text`` in at most ``limit`` characters or so: its middle makes way for its length."""
    if len(text) <= max_characters:
        return text
    omission = f"…({len(text):,} characters)…"
    kept_characters = max(8, max_characters - len(omission))
    return f"{text[: kept_characters - kept_characters // 3]}{omission}{text[len(text) - kept_characters // 3 :]}"


def build_field_views(
    fields: tuple[FieldChange, ...], max_characters: int = MAX_VALUE_CHARACTERS
) -> tuple[FieldView, ...]:
    """Field changes as lines: mappings member by member, lists by what comes and goes.

    Nothing that stays nothing (null where nothing was) has no line.
    """
    changed = (field for field in fields if field.before is not None or field.after is not None)
    return tuple(
        field_view
        for field in changed
        for field_view in _expand_field(field.path, field.before, field.after, max_characters)
    )


def _expand_field(path: tuple[str, ...], before: Any, after: Any, max_characters: int) -> Iterator[FieldView]:
    key = path[-1] if path else ""
    present_values = [present_value for present_value in (before, after) if present_value is not None]
    if present_values and all(isinstance(present_value, Mapping) and present_value for present_value in present_values):
        before, after = before or {}, after or {}
        if not before and after.keys() >= _OWNERSHIP_TAGS:
            yield _ownership_view((*path, "orchestrator:*"), after)
            after = {name: value for name, value in after.items() if not name.startswith("orchestrator:")}
        for name in dict.fromkeys([*before, *after]):
            yield from _expand_if_changed((*path, str(name)), before.get(name), after.get(name), max_characters)
    elif isinstance(before, list) and isinstance(after, list) and _has_same_layout(before, after):
        for index, (old, new) in enumerate(zip(before, after, strict=True)):
            yield from _expand_if_changed((*path[:-1], f"{key}[{index}]"), old, new, max_characters)
    elif isinstance(before, list) and isinstance(after, list) and _has_common_items(before, after):
        yield from _diff_items(path, before, after, max_characters)
    elif before is None and isinstance(after, list) and len(after) > 1 and len(format_value(after)) > max_characters:
        yield from _diff_items(path, [], after, max_characters)
    else:
        yield _field_view(path, redact(before, key), redact(after, key), max_characters)


def _ownership_view(path: tuple[str, ...], tags: Mapping[str, Any]) -> FieldView:
    """The ownership marks of a new thing, four tags, on one line."""
    owner = "/".join(str(tags[name]) for name in (TAG_PROJECT, TAG_ENVIRONMENT))
    labels = [
        owner,
        *(str(tags[name]) for name in sorted(tags) if name in _OWNERSHIP_TAGS - {TAG_PROJECT, TAG_ENVIRONMENT}),
    ]
    return FieldView(_format_path(path), None, shorten(format_value(" ".join(labels)), MAX_VALUE_CHARACTERS))


def _expand_if_changed(path: tuple[str, ...], before: Any, after: Any, max_characters: int) -> Iterator[FieldView]:
    if before != after or type(before) is not type(after):
        yield from _expand_field(path, before, after, max_characters)


def _has_same_layout(before: list[Any], after: list[Any]) -> bool:
    """Whether each item is still there, where it was, with the same keys: then only what differs in it is told."""
    if len(before) != len(after) or not all(isinstance(item, Mapping) and item for item in (*before, *after)):
        return False
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    return all(old.keys() == new.keys() and old not in after and new not in before for old, new in changed)


def _has_common_items(before: list[Any], after: list[Any]) -> bool:
    """Whether the items tell the story: something stays, and something comes or goes."""
    common_count = sum(item in before for item in after)
    return 0 < common_count < max(len(before), len(after))


def _diff_items(path: tuple[str, ...], before: list[Any], after: list[Any], max_characters: int) -> Iterator[FieldView]:
    item_path = (*path[:-1], f"{path[-1]}[]") if path else ("[]",)
    key = path[-1] if path else ""
    for item in before:
        if item not in after:
            yield FieldView(_format_path(item_path), shorten(format_value(redact(item, key)), max_characters), None)
    for item in after:
        if item not in before:
            yield FieldView(_format_path(item_path), None, shorten(format_value(redact(item, key)), max_characters))


def _field_view(path: tuple[str, ...], before: Any, after: Any, max_characters: int) -> FieldView:
    old = None if before is None else format_value(before)
    new = None if after is None else format_value(after)
    if old is not None and new is not None:
        old, new = trim_common_text(old, new, max_characters, _MIN_CONTEXT_CHARACTERS)
    return FieldView(_format_path(path), old and shorten(old, max_characters), new and shorten(new, max_characters))


def trim_common_text(
    old: str, new: str, max_characters: int, max_context: int = MAX_VALUE_CHARACTERS
) -> tuple[str, str]:
    """Both without most of what they share, so that cutting at ``limit`` does not hide what differs.

    ``most`` characters of what they share stay on either side, fewer where there is no room.
    """
    if max(len(old), len(new)) <= max_characters:
        return old, new
    prefix_length = next(
        (offset for offset, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new))
    )
    max_suffix = min(len(old), len(new)) - prefix_length
    suffix_length = next((offset for offset in range(max_suffix) if old[-1 - offset] != new[-1 - offset]), max_suffix)
    difference_length = max(len(old), len(new)) - prefix_length - suffix_length
    context = min(max_context, max(_MIN_CONTEXT_CHARACTERS, (max_characters - difference_length - 2) // 2))
    start, end = max(0, prefix_length - context), max(0, suffix_length - context)
    return _cut_ends(old, start, end), _cut_ends(new, start, end)


def _cut_ends(text: str, start: int, end: int) -> str:
    leading = "…" if start else ""
    trailing = "…" if end else ""
    return f"{leading}{text[start : len(text) - end]}{trailing}"


def _format_path(path: tuple[str, ...]) -> str:
    return shorten(sanitise(".".join(path)) or "(all)", 120)
