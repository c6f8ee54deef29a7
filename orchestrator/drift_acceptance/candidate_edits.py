"""Which edit of a manifest might account for a difference: fields of a component, and values for them.  Pure.

A guess costs little and proves nothing: whoever asks tries each, likely ones first.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.drift_acceptance import object_guess
from orchestrator.manifest import schema
from orchestrator.manifest.document import Path
from orchestrator.manifest.references import OPENING
from orchestrator.manifest.text_edits import REMOVED, Inserted
from orchestrator.values import Value
from orchestrator.vocabulary import FieldChange

MOST: Final = 400

Place = tuple[Path, Mapping[str, Any], Any]
"""Of a field: its path, what the schema says of it, and its value now (None: it is not said)."""


def candidates(value: Mapping[str, Any], difference: FieldChange) -> Iterator[tuple[Path, Value]]:
    """At most MOST edits of one document's ``value``, likely ones first; the new value may be REMOVED or Inserted."""
    places = list(_places(value, difference.path[-1]))
    name = "".join(difference.path)
    likely = sorted(places, key=lambda place: -_likeness(name, place[0]))
    found = itertools.chain(
        _items(value, places, difference),
        ((path, new) for path, part, now in likely for new in _values(part, now, difference.before)),
        (edit for place in likely for edit in _scalars(value, place, difference.before)),
    )
    yield from itertools.islice(found, MOST)


def lighter(value: Mapping[str, Any], address: str) -> Iterator[tuple[Path, Value]]:
    """Edits of one document's ``value`` by which it says less, those that sound like ``address`` first."""
    said = [place for place in _places(value, "") if len(place[0]) > 1]
    around: dict[Path, tuple[Mapping[str, Any], Any]] = {
        path[:depth]: ({}, True) for path, _, now in said if now is not None for depth in range(2, len(path))
    }
    places = {path: (part, now) for path, part, now in said} | around
    for path in sorted(places, key=lambda path: (-_likeness(address, path), -len(path))):
        part, now = places[path]
        if "boolean" in _types(part) and now is not False:
            yield path, False
        yield from ((path, one) for one in part.get("enum", ()) if one != now)
        if now is not None:
            yield path, REMOVED


def _likeness(name: str, path: Path) -> float:
    words = tuple(str(part) for part in path[1:] if not isinstance(part, int))
    return object_guess.likeness(name, words)


def _places(value: Mapping[str, Any], tail: str) -> Iterator[Place]:
    """Every field of the spec that is said or filled in, and every one that could be.

    ``tail`` is the name that an open mapping may get a member by.
    """
    kind = str(value["kind"]).lower()
    root = schema.load(kind)
    for path, found, part in schema.walk(kind, schema.fill(kind, value)):
        if path[:1] != ("spec",):
            continue
        if not isinstance(found, Mapping):
            yield path, part, found
            continue
        for key, sub in part.get("properties", {}).items():
            if key not in found:
                yield from _absent(root, (*path, key), sub)
        if tail and tail not in found and tail not in part.get("properties", {}):
            open_to = schema.member(root, part, tail)
            if isinstance(open_to, Mapping):
                yield from _absent(root, (*path, tail), open_to)


def _absent(root: Mapping[str, Any], path: Path, sub: Any) -> Iterator[Place]:
    for part in schema.forms(root, sub):
        for key, inner in part.get("properties", {}).items():
            yield from _absent(root, (*path, key), inner)
        if "properties" not in part:
            yield path, part, None


def _items(value: Mapping[str, Any], places: list[Place], difference: FieldChange) -> Iterator[tuple[Path, Value]]:
    """An object more in a list of objects, at the place that it has in AWS; or one of them less."""
    kind = str(value["kind"]).lower()
    fresh = [
        pair
        for pair in object_guess.objects(difference.before)
        if pair not in list(object_guess.objects(difference.after))
    ]
    for path, part, now in places:
        items = schema.deref(schema.load(kind), part.get("items"))
        if "properties" not in items:
            continue
        standing = now or []
        for at, found in fresh:
            made = object_guess.guess(kind, items, found)
            for place in dict.fromkeys((min(at, len(standing)), len(standing))):
                yield (*path, place), Inserted(made)
        yield from (((*path, at), REMOVED) for at in range(len(standing)))


def _scalars(value: Mapping[str, Any], place: Place, before: Any) -> Iterator[tuple[Path, Value]]:
    """One text or number more in a list of them."""
    path, part, now = place
    types = _types(schema.deref(schema.load(str(value["kind"]).lower()), part.get("items")))
    found = object_guess.leaves(before, str) if "string" in types else iter(())
    if types & {"number", "integer"}:
        found = object_guess.numbers(before)
    standing = now or []
    yield from (((*path, len(standing)), Inserted(one)) for one in dict.fromkeys(found) if one not in standing)


def _types(part: Mapping[str, Any]) -> set[str]:
    kinds = part.get("type", [])
    return {kinds} if isinstance(kinds, str) else set(kinds)


def _values(part: Mapping[str, Any], now: Any, before: Any) -> Iterator[Value]:
    """Values of the right type that AWS's ``before`` suggests."""
    if isinstance(now, str) and OPENING in now:
        return
    types = _types(part)
    guesses: list[Any] = [one for one in part.get("enum", ()) if one != now]
    if "boolean" in types:
        guesses += [one for one in (True, False) if one is not now]
    if types & {"number", "integer"}:
        guesses += [one for one in object_guess.numbers(before) if one != now]
    if "string" in types and "enum" not in part:
        guesses += [one for one in object_guess.leaves(before, str) if one != now]
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


def _lists(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list) and not any(isinstance(item, Mapping | list) for item in value):
        yield value
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in inner:
        yield from _lists(item)
