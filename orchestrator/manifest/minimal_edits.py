"""Compute the smallest set of edits between two values, so that the text around them stays unchanged.  Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.manifest.document import Path
from orchestrator.manifest.text_edits import REMOVE, Insertion


def diff_values(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Yield edits for ``text_edits.edit_value``, in order; edits of a list start at its end, so that indices hold."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in new:
                yield (*path, key), REMOVE
            elif key not in old:
                yield (*path, key), new[key]
            else:
                yield from diff_values(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and old and new:
        yield from _diff_lists(old, new, path)
    elif _to_json(old) != _to_json(new):
        yield path, new


def _diff_lists(old: list[Any], new: list[Any], path: Path) -> Iterator[tuple[Path, Any]]:
    matcher = difflib.SequenceMatcher(
        None, [_to_json(item) for item in old], [_to_json(item) for item in new], autojunk=False
    )
    for tag, old_start, old_end, new_start, new_end in reversed(matcher.get_opcodes()):
        if tag == "equal":
            continue
        paired_count = min(old_end - old_start, new_end - new_start)
        for index in reversed(range(old_start + paired_count, old_end)):
            yield (*path, index), REMOVE
        for new_item in reversed(new[new_start + paired_count : new_end]):
            yield (*path, old_start + paired_count), Insertion(new_item)
        for offset in reversed(range(paired_count)):
            yield from diff_values(old[old_start + offset], new[new_start + offset], (*path, old_start + offset))


def _to_json(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
