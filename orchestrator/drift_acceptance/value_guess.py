"""Guess a manifest object from an AWS object by pairing members with similar names.  Pure.

AWS's ``{"AllowedMethods": ["GET"], "MaxAgeSeconds": 60}`` becomes ``{"methods": ["GET"], "maxAgeSeconds": 60}``.  The
guess is a starting point: the search that uses it measures its distance.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any, Final

from orchestrator.manifest import schema
from orchestrator.manifest.schema import Schema

UNIT_FACTORS: Final = (1.0, 1 / 1024, 1 / 2**30, 1024.0, 1 / 60, 1 / 86400)
"""Unit conversions: AWS uses other units, such as MiB, bytes and seconds."""
MIN_SIMILARITY: Final = 0.6
"""The minimum similarity of two names, unless the schema requires the member."""

_NUMBER: Final = re.compile(r"-?\d+(?:\.\d+)?")


def guess_object(
    kind: str, part: Schema, aws_object: Mapping[str, Any], *, is_required_only: bool = False
) -> dict[str, Any]:
    """Return an object of the schema ``part`` with values from ``aws_object``; it may lack required members.

    ``is_required_only`` limits it to required members and ``name``; those without a value get the schema's example.
    """
    root = schema.load(kind)
    property_schemas = {
        name: subschema
        for form in schema.iter_forms(root, part)
        for name, subschema in form.get("properties", {}).items()
    }
    required = {name for form in schema.iter_forms(root, part) for name in form.get("required", ())}
    if is_required_only:
        property_schemas = {
            name: subschema for name, subschema in property_schemas.items() if name in required or name == "name"
        }
    guessed_object = _match_members(kind, property_schemas, required, list(_iterate_members(aws_object)))
    if is_required_only:
        guessed_object |= {
            name: schema.resolve_ref(root, property_schemas[name]).get("examples", [""])[0]
            for name in required - guessed_object.keys()
        }
    return {
        name: guessed_object[name]
        for name, subschema in property_schemas.items()
        if name in guessed_object and _schema_default(root, subschema) != guessed_object[name]
    }


def _match_members(
    kind: str,
    property_schemas: Mapping[str, Any],
    required: set[str],
    aws_members: list[tuple[tuple[str, ...], Any]],
) -> dict[str, Any]:
    """Pair properties with members of AWS's object, the most similar names first, and return the values that fit."""
    ranked_pairs = sorted(
        (name_similarity(name, path), name, position)
        for name in property_schemas
        for position, (path, _) in enumerate(aws_members)
    )
    matched: dict[str, Any] = {}
    used_positions: set[int] = set()
    for similarity, name, position in reversed(ranked_pairs):
        is_similar = similarity >= MIN_SIMILARITY or name in required
        if name in matched or position in used_positions or not is_similar:
            continue
        fitting_values = list(_fit_values(kind, property_schemas[name], aws_members[position][1]))
        if fitting_values:
            matched[name] = fitting_values[0]
            used_positions.add(position)
    return matched


def _schema_default(root: Schema, subschema: Any) -> Any:
    """Return the default value in a schema, ``...`` if it has none."""
    return schema.resolve_ref(root, subschema).get("default", ...)


def name_similarity(name: str, path: tuple[str, ...]) -> float:
    """Return the similarity from 0 to 1 of a name and a path: of its last part, or of all parts together."""
    normalised_parts = [normalise_name(part) for part in path]
    return max(
        _text_similarity(normalise_name(name), word)
        for word in ("".join(normalised_parts), normalised_parts[-1] if normalised_parts else "")
    )


@cache
def _text_similarity(first: str, second: str) -> float:
    return difflib.SequenceMatcher(None, first, second).ratio()


def normalise_name(name: str) -> str:
    """Return a name in lower case, without separators."""
    return re.sub(r"[^a-z0-9]", "", name.lower())


def iterate_leaves(value: Any, kind: type) -> Iterator[Any]:
    """Yield every leaf of a type in a value."""
    if isinstance(value, Mapping):
        for item in value.values():
            yield from iterate_leaves(item, kind)
    elif isinstance(value, list):
        for item in value:
            yield from iterate_leaves(item, kind)
    elif isinstance(value, kind):
        yield value


def iterate_numbers(value: Any) -> Iterator[int | float]:
    """Yield every number in a value, including those in strings, in each possible unit."""
    texts = (number_match[0] for text in iterate_leaves(value, str) for number_match in _NUMBER.finditer(text))
    number_leaves = [
        float(leaf) for kind in (int, float) for leaf in iterate_leaves(value, kind) if not isinstance(leaf, bool)
    ]
    for number in (*number_leaves, *map(float, texts)):
        for scale in UNIT_FACTORS:
            scaled = number * scale
            yield int(scaled) if scaled.is_integer() else round(scaled, 6)


def iterate_list_objects(value: Any) -> Iterator[tuple[int, Mapping[str, Any]]]:
    """Yield every mapping in a list, with its position."""
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for position, item in enumerate(children):
        if isinstance(value, list) and isinstance(item, Mapping):
            yield position, item
        yield from iterate_list_objects(item)


def _iterate_members(mapping: Mapping[str, Any], path: tuple[str, ...] = ()) -> Iterator[tuple[tuple[str, ...], Any]]:
    """Yield the members of nested mappings, with their paths."""
    for name, value in mapping.items():
        yield (*path, name), value
        if isinstance(value, Mapping):
            yield from _iterate_members(value, (*path, name))


def _fit_values(kind: str, subschema: Any, value: Any) -> Iterator[Any]:
    """Yield conversions of ``value`` that are valid against the schema."""
    root = schema.load(kind)
    if schema.is_valid_against(kind, subschema, value):
        yield value
    for form in schema.iter_forms(root, subschema):
        types = form.get("type", ())
        if "items" in form and isinstance(value, list) and any(isinstance(item, Mapping) for item in value):
            guessed_objects = [guess_object(kind, form["items"], item) for item in value if isinstance(item, Mapping)]
            if guessed_objects and schema.is_valid_against(kind, form, guessed_objects):
                yield guessed_objects
        if {"number", "integer"} & ({types} if isinstance(types, str) else set(types)):
            yield from (number for number in iterate_numbers(value) if schema.is_valid_against(kind, form, number))
