"""The fewest edits that lead from one value to another, so that an edited text keeps what is around them.  Pure."""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.manifest.document import Path
from orchestrator.manifest.text_edits import REMOVED, Inserted


def between(old: Any, new: Any, path: Path = ()) -> Iterator[tuple[Path, Any]]:
    """Edits for ``editing.edit``, in this order: of a list the last items come first, so that places stay true."""
    if isinstance(old, Mapping) and isinstance(new, Mapping):
        for key in [*old, *(key for key in new if key not in old)]:
            if key not in new:
                yield (*path, key), REMOVED
            elif key not in old:
                yield (*path, key), new[key]
            else:
                yield from between(old[key], new[key], (*path, key))
    elif isinstance(old, list) and isinstance(new, list) and old and new:
        yield from _of_lists(old, new, path)
    elif _spelt(old) != _spelt(new):
        yield path, new


def _of_lists(old: list[Any], new: list[Any], path: Path) -> Iterator[tuple[Path, Any]]:
    matcher = difflib.SequenceMatcher(None, [_spelt(one) for one in old], [_spelt(one) for one in new], autojunk=False)
    for tag, start, end, into, until in reversed(matcher.get_opcodes()):
        if tag == "equal":
            continue
        paired = min(end - start, until - into)
        for at in reversed(range(start + paired, end)):
            yield (*path, at), REMOVED
        for item in reversed(new[into + paired : until]):
            yield (*path, start + paired), Inserted(item)
        for number in reversed(range(paired)):
            yield from between(old[start + number], new[into + number], (*path, start + number))


def _spelt(value: Any) -> str:
    return json.dumps(value, sort_keys=True)
