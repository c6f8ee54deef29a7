"""Which edit of a manifest might account for a difference: fields of a component, and values for them.  Pure.

A guess costs little and proves nothing: ``acceptance`` tries each, likely ones first.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.manifest import schema
from orchestrator.manifest.document import Declared, Path
from orchestrator.manifest.editing import REMOVED
from orchestrator.manifest.references import OPENING
from orchestrator.model import FieldChange
from orchestrator.values import Value

MOST: Final = 400
SCALES: Final = (1.0, 1 / 1024, 1 / 2**30, 1024.0, 1 / 60, 1 / 86400)
"""AWS counts in other units: MiB, bytes, seconds."""

_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


def candidates(declared: Declared, difference: FieldChange) -> Iterator[tuple[Path, Value]]:
    """At most MOST edits of one component, likely ones first; the value may be REMOVED."""
    kind = declared.kind.lower()
    filled = schema.fill(kind, declared.value)
    name = _plain(".".join(difference.path))
    places = {path: (part, now) for path, part, now in _places(kind, filled, difference.path[-1])}
    likely = sorted(places, key=lambda path: -_likeness(name, path))
    found = ((path, value) for path in likely for value in _values(*places[path], difference.before))
    for count, (path, value) in enumerate(found):
        if count == MOST:
            return
        yield path, value


def _likeness(name: str, path: Path) -> float:
    words = [_plain(str(part)) for part in path[1:] if not isinstance(part, int)]
    whole, last = "".join(words), words[-1] if words else ""
    return max(difflib.SequenceMatcher(None, name, word).ratio() for word in (whole, last))


def _plain(name: str) -> str:
    return re.sub(r"[^a-z0-9]", "", name.lower())


def _places(kind: str, filled: Mapping[str, Any], tail: str) -> Iterator[tuple[Path, Mapping[str, Any], Any]]:
    """Every field of the spec that is said, and every one that could be: path, what the schema says, value now."""
    root = schema.load(kind)
    for path, value, part in schema.walk(kind, filled):
        if path[:1] != ("spec",):
            continue
        if not isinstance(value, Mapping):
            yield path, part, value
            continue
        for key, sub in part.get("properties", {}).items():
            if key not in value:
                yield from _absent(root, (*path, key), sub)
        if tail not in value and tail not in part.get("properties", {}):
            open_to = schema.member(root, part, tail)
            if isinstance(open_to, Mapping):
                yield from _absent(root, (*path, tail), open_to)


def _absent(root: Mapping[str, Any], path: Path, sub: Any) -> Iterator[tuple[Path, Mapping[str, Any], Any]]:
    for part in schema.forms(root, sub):
        for key, inner in part.get("properties", {}).items():
            yield from _absent(root, (*path, key), inner)
        if "properties" not in part:
            yield path, part, None


def _values(part: Mapping[str, Any], now: Any, before: Any) -> Iterator[Value]:
    """Values of the right type that AWS's ``before`` suggests."""
    if isinstance(now, str) and OPENING in now:
        return
    kinds = part.get("type", [])
    types = {kinds} if isinstance(kinds, str) else set(kinds)
    guesses: list[Any] = [one for one in part.get("enum", ()) if one != now]
    if "boolean" in types:
        guesses += [one for one in (True, False) if one is not now]
    if types & {"number", "integer"}:
        guesses += [one for one in _numbers(before) if one != now]
    if "string" in types and "enum" not in part:
        guesses += [one for one in _leaves(before, str) if one != now]
    if "array" in types:
        guesses += [list(one) for one in _lists(before) if one != now]
        guesses += [[*now[:index], *now[index + 1 :]] for index in range(len(now or ()))] if now else []
    seen: list[Any] = []
    for one in guesses:
        if not any(one == other and type(one) is type(other) for other in seen):
            seen.append(one)
            yield one
    if now is not None:
        yield REMOVED


def _leaves(value: Any, kind: type) -> Iterator[Any]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _leaves(item, kind)
    elif isinstance(value, list):
        for item in value:
            yield from _leaves(item, kind)
    elif isinstance(value, kind):
        yield value


def _numbers(value: Any) -> Iterator[int | float]:
    texts = (found[0] for text in _leaves(value, str) for found in _NUMBER.finditer(text))
    numbers = [float(one) for one in _leaves(value, int | float) if not isinstance(one, bool)]  # type: ignore[arg-type]
    for number in (*numbers, *map(float, texts)):
        for scale in SCALES:
            scaled = number * scale
            yield int(scaled) if scaled.is_integer() else round(scaled, 6)


def _lists(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list) and not any(isinstance(item, Mapping | list) for item in value):
        yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _lists(item)
