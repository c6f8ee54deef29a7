"""Objects of a manifest's kind out of what AWS has: members are paired by the likeness of their names.  Pure.

AWS's ``{"AllowedMethods": ["GET"], "MaxAgeSeconds": 60}`` becomes ``{"methods": ["GET"], "maxAgeSeconds": 60}``.  It is
a guess, and good for a start: the search that uses it measures how far off it is.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from orchestrator.manifest import schema
from orchestrator.manifest.schema import Schema

SCALES: Final = (1.0, 1 / 1024, 1 / 2**30, 1024.0, 1 / 60, 1 / 86400)
"""AWS counts in other units: MiB, bytes, seconds."""
ALIKE: Final = 0.6
"""How like two names have to be where nothing else demands the pair."""

_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


def guess(kind: str, part: Schema, found: Mapping[str, Any], *, needed: bool = False) -> dict[str, Any]:
    """The object that ``part`` of a kind's schema describes, as ``found`` suggests it; it may lack what it needs.

    With ``needed`` only what it needs, and its name; where nothing suggests a value, an example, to search on from.
    """
    root = schema.load(kind)
    wanted = {name: sub for each in schema.forms(root, part) for name, sub in each.get("properties", {}).items()}
    required = {name for each in schema.forms(root, part) for name in each.get("required", ())}
    parts = list(_parts(found))
    if needed:
        wanted = {name: sub for name, sub in wanted.items() if name in required or name == "name"}
    pairs = sorted(((likeness(name, path), name, at) for name in wanted for at, (path, _) in enumerate(parts)))
    made: dict[str, Any] = {}
    taken: set[int] = set()
    for alike, name, at in reversed(pairs):
        if name in made or at in taken or (alike < ALIKE and name not in required):
            continue
        fitting = list(_fitting(kind, wanted[name], parts[at][1]))
        if fitting:
            made[name] = fitting[0]
            taken.add(at)
    if needed:
        made |= {name: schema.deref(root, wanted[name]).get("examples", [""])[0] for name in required - made.keys()}
    unsaid = {name for name, sub in wanted.items() if name in made and _default(root, sub) == made[name]}
    return {name: made[name] for name in wanted if name in made and name not in unsaid}


def _default(root: Schema, sub: Any) -> Any:
    """What goes without saying."""
    return schema.deref(root, sub).get("default", ...)


def likeness(name: str, path: tuple[str, ...]) -> float:
    """How like a name is to where a value stands, by its last word or by all of them: from 0 to 1."""
    words = [plain(part) for part in path]
    return max(_alike(plain(name), word) for word in ("".join(words), words[-1] if words else ""))


@cache
def _alike(one: str, other: str) -> float:
    return difflib.SequenceMatcher(None, one, other).ratio()


def plain(name: str) -> str:
    """A name without what only its language puts in."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def leaves(value: Any, kind: type) -> Iterator[Any]:
    """Every value of a type inside of another."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from leaves(item, kind)
    elif isinstance(value, list):
        for item in value:
            yield from leaves(item, kind)
    elif isinstance(value, kind):
        yield value


def numbers(value: Any) -> Iterator[int | float]:
    """Every number inside of a value, of its texts too, in each unit that it may have been counted in."""
    texts = (found[0] for text in leaves(value, str) for found in _NUMBER.finditer(text))
    plain_ones = [float(one) for kind in (int, float) for one in leaves(value, kind) if not isinstance(one, bool)]
    for number in (*plain_ones, *map(float, texts)):
        for scale in SCALES:
            scaled = number * scale
            yield int(scaled) if scaled.is_integer() else round(scaled, 6)


def objects(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Every mapping that stands in a list, with its place there."""
    inner = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for at, item in enumerate(inner):
        if isinstance(value, list) and isinstance(item, Mapping):
            yield at, item
        yield from objects(item)


def _parts(found: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Every member at every depth of mappings."""
    for name, value in found.items():
        yield (*path, name), value
        if isinstance(value, Mapping):
            yield from _parts(value, (*path, name))


def _fitting(kind: str, part: Any, value: Any) -> Iterator[Any]:
    """``value`` as ``part`` of the schema can take it."""
    root = schema.load(kind)
    if schema.fits(kind, part, value):
        yield value
    for form in schema.forms(root, part):
        types = form.get("type", ())
        if "items" in form and isinstance(value, list) and any(isinstance(one, Mapping) for one in value):
            made = [guess(kind, form["items"], one) for one in value if isinstance(one, Mapping)]
            if made and schema.fits(kind, form, made):
                yield made
        if {"number", "integer"} & ({types} if isinstance(types, str) else set(types)):
            yield from (one for one in numbers(value) if schema.fits(kind, form, one))
