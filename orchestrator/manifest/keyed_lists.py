"""Match the items of two lists of objects by their key, as Kubernetes' strategic merge patch does.  Pure.

A schema names the key with the keyword ``x-list-key``: one or more members of the items, of which the first is
required.  In an environment's file, ``$patch: delete`` in an item removes it, and the item ``$patch: replace`` replaces
the whole list of the base.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Any, Final

from orchestrator.manifest.document import ListOrigins

KEYWORD: Final = "x-list-key"
PATCH: Final = "$patch"
_DELETE: Final = "delete"
_REPLACE: Final = {PATCH: "replace"}


def match_items(base: Sequence[Any], overlay: Sequence[Any], key: Sequence[str] | None) -> ListOrigins | None:
    """Return for each item of the merged list its index in ``base`` and in ``overlay``.

    Items that only ``overlay`` has come first, because in an ordered list the first match applies; the others keep the
    order of ``base``.  None: the items have no common key, and ``overlay`` replaces ``base``.
    """
    if _REPLACE in overlay:
        return tuple((None, index) for index, item in enumerate(overlay) if item != _REPLACE)
    if key is None or not all(_has_key(item, key) for item in (*base, *overlay)):
        return None
    base_keys, overlay_keys = ([_key_of(item, key) for item in items] for items in (base, overlay))
    if len(set(base_keys)) < len(base_keys) or len(set(overlay_keys)) < len(overlay_keys):
        return None
    return (*_new_items(overlay_keys, base_keys), *_base_items(overlay, overlay_keys, base_keys))


def _new_items(overlay_keys: list[tuple[Any, ...]], base_keys: list[tuple[Any, ...]]) -> Iterator[tuple[None, int]]:
    """Yield the items without a counterpart; the deletion of one that does not exist stays, as an invalid item."""
    for index, item_key in enumerate(overlay_keys):
        if item_key not in base_keys:
            yield None, index


def _base_items(
    overlay: Sequence[Any], overlay_keys: list[tuple[Any, ...]], base_keys: list[tuple[Any, ...]]
) -> Iterator[tuple[int, int | None]]:
    for base_index, item_key in enumerate(base_keys):
        overlay_index = overlay_keys.index(item_key) if item_key in overlay_keys else None
        if overlay_index is None or not _is_deletion(overlay[overlay_index]):
            yield base_index, overlay_index


def _is_deletion(item: Mapping[str, Any]) -> bool:
    """Return whether an item of an environment's list removes the base's item with the same key."""
    return item.get(PATCH) == _DELETE


def _has_key(item: Any, key: Sequence[str]) -> bool:
    """Return whether an item is an object whose key can be compared."""
    if not isinstance(item, Mapping) or not isinstance(item.get(key[0]), str):
        return False
    return all(isinstance(item.get(part), str | None) for part in key)


def _key_of(item: Mapping[str, Any], key: Sequence[str]) -> tuple[Any, ...]:
    return tuple(item.get(part) for part in key)
