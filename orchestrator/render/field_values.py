"""Format values for display: JSON on one line, redacted, escaped, and shortened in the middle.  Pure."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from typing import Any, Final

from msgspec import Struct

from orchestrator.redaction.redact import escape_unprintable, redact, sanitise
from orchestrator.vocabulary import TAG_COMPONENT, TAG_DELETION_POLICY, TAG_ENVIRONMENT, TAG_PROJECT, FieldChange

MAX_VALUE_CHARACTERS: Final = 160
"""Longer values are shortened in the middle."""

_MIN_CONTEXT_CHARACTERS = 24
_OWNERSHIP_TAGS: Final = frozenset({TAG_PROJECT, TAG_ENVIRONMENT, TAG_COMPONENT, TAG_DELETION_POLICY})


class FieldView(Struct, frozen=True):
    """One line of a change: ``path: before -> after``.  None means absent."""

    path: str
    before: str | None
    after: str | None

    @property
    def sign(self) -> str:
        """``+`` for an addition, ``-`` for a removal, ``~`` for a change."""
        return "+" if self.before is None else "-" if self.after is None else "~"

    def __str__(self) -> str:
        return f"{self.path}: " + " -> ".join(value for value in (self.before, self.after) if value is not None)


def format_value(value: Any) -> str:
    """Return a value as escaped JSON on one line; references and secrets are not quoted."""
    if isinstance(value, str) and (value == "(secret)" or (value.startswith("${") and value.endswith("}"))):
        return escape_unprintable(value)
    return escape_unprintable(json.dumps(value, ensure_ascii=False, sort_keys=True, default=str))


def shorten(text: str, max_characters: int = MAX_VALUE_CHARACTERS) -> str:
    """Return ``text`` in about ``max_characters``: a long text has its middle replaced by its length."""
    if len(text) <= max_characters:
        return text
    omission = f"…({len(text):,} characters)…"
    kept_characters = max(8, max_characters - len(omission))
    return f"{text[: kept_characters - kept_characters // 3]}{omission}{text[len(text) - kept_characters // 3 :]}"


def build_field_views(
    fields: tuple[FieldChange, ...], max_characters: int = MAX_VALUE_CHARACTERS
) -> tuple[FieldView, ...]:
    """Return field changes as lines: mappings by member, lists by added and removed items.

    A field that is null on both sides is omitted.
    """
    changed = (field for field in fields if field.before is not None or field.after is not None)
    return tuple(
        field_view
        for field in changed
        for field_view in _expand_field(field.path, field.before, field.after, max_characters)
    )


def _expand_field(path: tuple[str, ...], before: Any, after: Any, max_characters: int) -> Iterator[FieldView]:
    key = path[-1] if path else ""
    present_values = [value for value in (before, after) if value is not None]
    if present_values and all(isinstance(value, Mapping) and value for value in present_values):
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
    """Return the four ownership tags of a new resource as one line."""
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
    """Return whether every item kept its position and keys, so that its changed members can be shown."""
    if len(before) != len(after) or not all(isinstance(item, Mapping) and item for item in (*before, *after)):
        return False
    changed = [(old, new) for old, new in zip(before, after, strict=True) if old != new]
    return all(old.keys() == new.keys() and old not in after and new not in before for old, new in changed)


def _has_common_items(before: list[Any], after: list[Any]) -> bool:
    """Return whether some items stay and others are added or removed, so that a list of those is useful."""
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
    """Return both texts without most of their common start and end, so that shortening does not hide the difference.

    Keeps up to ``max_context`` common characters on either side, fewer if ``max_characters`` leaves no room.
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
