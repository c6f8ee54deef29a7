"""Generate manifest edits that might resolve a difference: fields of a component, and values for them.  Pure.

Candidates are guesses, likely ones first: the caller has to try each.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Mapping
from typing import Any, Final

from orchestrator.drift_acceptance import value_guess
from orchestrator.manifest import schema
from orchestrator.manifest.document import Path
from orchestrator.manifest.references import REFERENCE_START
from orchestrator.manifest.text_edits import REMOVE, Insertion
from orchestrator.values import Value
from orchestrator.vocabulary import FieldChange

MAX_CANDIDATES: Final = 400

FieldSlot = tuple[Path, Mapping[str, Any], Any]
"""A field's path, its schema, and its current value (None: not set)."""


def generate_edits(value: Mapping[str, Any], difference: FieldChange) -> Iterator[tuple[Path, Value]]:
    """Yield up to MAX_CANDIDATES edits of a document, likely ones first; a new value may be REMOVE or an Insertion."""
    slots = list(_list_field_slots(value, difference.path[-1]))
    field_name = "".join(difference.path)
    ranked_slots = sorted(slots, key=lambda slot: -_path_similarity(field_name, slot[0]))
    edits = itertools.chain(
        _list_object_edits(value, slots, difference),
        (
            (path, new_value)
            for path, part, current_value in ranked_slots
            for new_value in _candidate_values(part, current_value, difference.before)
        ),
        (edit for slot in ranked_slots for edit in _list_value_edits(value, slot, difference.before)),
    )
    yield from itertools.islice(edits, MAX_CANDIDATES)


def generate_removals(value: Mapping[str, Any], address: str) -> Iterator[tuple[Path, Value]]:
    """Yield edits that remove or disable parts of a document, those whose names resemble ``address`` first."""
    nested_slots = [slot for slot in _list_field_slots(value, "") if len(slot[0]) > 1]
    parent_slots: dict[Path, tuple[Mapping[str, Any], Any]] = {
        path[:depth]: ({}, True)
        for path, _, current_value in nested_slots
        if current_value is not None
        for depth in range(2, len(path))
    }
    slots = {path: (part, current_value) for path, part, current_value in nested_slots} | parent_slots
    for path in sorted(slots, key=lambda path: (-_path_similarity(address, path), -len(path))):
        part, current_value = slots[path]
        if "boolean" in _schema_types(part) and current_value is not False:
            yield path, False
        yield from ((path, enum_value) for enum_value in part.get("enum", ()) if enum_value != current_value)
        if current_value is not None:
            yield path, REMOVE


def _path_similarity(name: str, path: Path) -> float:
    field_names = tuple(str(part) for part in path[1:] if not isinstance(part, int))
    return value_guess.name_similarity(name, field_names)


def _list_field_slots(value: Mapping[str, Any], member_name: str) -> Iterator[FieldSlot]:
    """Yield every field of the spec: those set or defaulted, and those that could be set.

    ``member_name`` is the name of a member to add to mappings that accept any name.
    """
    kind = str(value["kind"]).lower()
    root = schema.load(kind)
    for path, current_value, part in schema.iter_values(kind, schema.fill_defaults(kind, value)):
        if path[:1] != ("spec",):
            continue
        if not isinstance(current_value, Mapping):
            yield path, part, current_value
            continue
        for key, subschema in part.get("properties", {}).items():
            if key not in current_value:
                yield from _absent_fields(root, (*path, key), subschema)
        if member_name and member_name not in current_value and member_name not in part.get("properties", {}):
            member_schema = schema.property_schema(root, part, member_name)
            if isinstance(member_schema, Mapping):
                yield from _absent_fields(root, (*path, member_name), member_schema)


def _absent_fields(root: Mapping[str, Any], path: Path, subschema: Any) -> Iterator[FieldSlot]:
    for part in schema.iter_forms(root, subschema):
        for key, property_schema in part.get("properties", {}).items():
            yield from _absent_fields(root, (*path, key), property_schema)
        if "properties" not in part:
            yield path, part, None


def _list_object_edits(
    value: Mapping[str, Any], slots: list[FieldSlot], difference: FieldChange
) -> Iterator[tuple[Path, Value]]:
    """Yield edits that add an object to a list, at its position in AWS, or remove one."""
    kind = str(value["kind"]).lower()
    added_objects = [
        pair
        for pair in value_guess.iterate_list_objects(difference.before)
        if pair not in list(value_guess.iterate_list_objects(difference.after))
    ]
    for path, part, current_value in slots:
        items = schema.resolve_ref(schema.load(kind), part.get("items"))
        if "properties" not in items:
            continue
        current_items = current_value or []
        for position, aws_object in added_objects:
            manifest_object = value_guess.guess_object(kind, items, aws_object)
            for insert_position in dict.fromkeys((min(position, len(current_items)), len(current_items))):
                yield (*path, insert_position), Insertion(manifest_object)
        yield from (((*path, position), REMOVE) for position in range(len(current_items)))


def _list_value_edits(value: Mapping[str, Any], slot: FieldSlot, aws_value: Any) -> Iterator[tuple[Path, Value]]:
    """Yield edits that append a string or number to a list."""
    path, part, current_value = slot
    types = _schema_types(schema.resolve_ref(schema.load(str(value["kind"]).lower()), part.get("items")))
    suggested_values = value_guess.iterate_leaves(aws_value, str) if "string" in types else iter(())
    if types & {"number", "integer"}:
        suggested_values = value_guess.iterate_numbers(aws_value)
    current_items = current_value or []
    yield from (
        ((*path, len(current_items)), Insertion(suggestion))
        for suggestion in dict.fromkeys(suggested_values)
        if suggestion not in current_items
    )


def _schema_types(part: Mapping[str, Any]) -> set[str]:
    type_names = part.get("type", [])
    return {type_names} if isinstance(type_names, str) else set(type_names)


def _candidate_values(part: Mapping[str, Any], current_value: Any, aws_value: Any) -> Iterator[Value]:
    """Yield values of the right type that the value in AWS suggests."""
    if isinstance(current_value, str) and REFERENCE_START in current_value:
        return
    types = _schema_types(part)
    guesses: list[Any] = [guess for guess in part.get("enum", ()) if guess != current_value]
    if "boolean" in types:
        guesses += [guess for guess in (True, False) if guess is not current_value]
    if types & {"number", "integer"}:
        guesses += [guess for guess in value_guess.iterate_numbers(aws_value) if guess != current_value]
    if "string" in types and "enum" not in part:
        guesses += [guess for guess in value_guess.iterate_leaves(aws_value, str) if guess != current_value]
    if "array" in types:
        guesses += [list(guess) for guess in _scalar_lists(aws_value) if guess != current_value]
        guesses += (
            [[*current_value[:index], *current_value[index + 1 :]] for index in range(len(current_value or ()))]
            if current_value
            else []
        )
    yielded_guesses: list[Any] = []
    for guess in guesses:
        if not any(guess == yielded_guess and type(guess) is type(yielded_guess) for yielded_guess in yielded_guesses):
            yielded_guesses.append(guess)
            yield guess
    if current_value is not None:
        yield REMOVE


def _scalar_lists(value: Any) -> Iterator[list[Any]]:
    if isinstance(value, list) and not any(isinstance(item, Mapping | list) for item in value):
        yield value
    children = value.values() if isinstance(value, Mapping) else value if isinstance(value, list) else ()
    for item in children:
        yield from _scalar_lists(item)
