"""The schemas as documents: complete, true to themselves, and true to the types they describe."""

from __future__ import annotations

import json
import types
import typing
from collections.abc import Iterator, Mapping
from enum import StrEnum
from typing import Any

import pytest
from jsonschema import Draft202012Validator
from msgspec import Struct

from orchestrator import components, vocabulary
from orchestrator.manifest import schema
from orchestrator.problems import Position

NAMES = schema.list_names()
KINDS = [name for name in NAMES if schema.manifest_kind(name)]


def objects(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every subschema of a file with a pointer to it."""

    def walk(node: Any, pointer: str) -> Iterator[tuple[str, dict[str, Any]]]:
        if isinstance(node, dict):
            yield pointer, node
            for key, value in node.items():
                if key not in {"examples", "default", "const", "enum"}:
                    yield from walk(value, f"{pointer}/{key}")
        elif isinstance(node, list):
            for index, value in enumerate(node):
                yield from walk(value, f"{pointer}/{index}")

    yield from walk(schema.load(name), "")


def properties(name: str) -> Iterator[tuple[str, dict[str, Any]]]:
    """Every property of every object of a file, local references followed."""
    for pointer, node in objects(name):
        members = node.get("properties", {})
        if isinstance(members, dict) and "/if" not in pointer and not pointer.endswith("/properties"):
            for key, value in members.items():
                if isinstance(value, Mapping):
                    yield f"{pointer}/{key}", dict(schema.resolve_ref(schema.load(name), value))


@pytest.mark.parametrize("name", NAMES)
class TestSchema:
    def test_it_is_a_schema(self, name: str) -> None:
        """Valid under the metaschema of its draft."""
        Draft202012Validator.check_schema(schema.load(name))

    def test_every_property_is_described(self, name: str) -> None:
        """A description and at least one example: `explain` has something to say."""
        bare = [where for where, part in properties(name) if not part.get("description") or not part.get("examples")]

        assert bare == []

    def test_every_example_is_valid(self, name: str) -> None:
        """What is shown as an example may be copied."""
        validator = schema.get_validator(name)
        wrong = [
            f"{where}: {example!r}: {error.message}"
            for where, part in properties(name)
            for example in part["examples"]
            for error in validator.evolve(schema=part).iter_errors(example)
            if "${" not in json.dumps(error.instance)
        ]

        assert wrong == []

    def test_every_default_is_valid(self, name: str) -> None:
        """A default is what a user could have written."""
        validator = schema.get_validator(name)
        wrong = [
            f"{where}: {error.message}"
            for where, part in properties(name)
            if "default" in part
            for error in validator.evolve(schema=part).iter_errors(part["default"])
        ]

        assert wrong == []

    def test_nothing_unknown_is_let_in(self, name: str) -> None:
        """An object with named members has no others, so that a slip of the hand is found."""
        branch = ("/if", "/then", "/else", "/not", "/allOf/", "/anyOf/", "/oneOf/")
        open_ones = [
            pointer
            for pointer, node in objects(name)
            if isinstance(node.get("properties"), dict)
            and not pointer.endswith("/properties")
            and "additionalProperties" not in node
            and "unevaluatedProperties" not in node
            and not any(part in pointer for part in branch)
        ]

        assert open_ones == []

    def test_references_stay_in_the_file(self, name: str) -> None:
        """Nothing is fetched to validate."""
        assert [node["$ref"] for _, node in objects(name) if not str(node.get("$ref", "#")).startswith("#")] == []


@pytest.mark.parametrize("name", KINDS)
class TestKind:
    def test_it_is_shaped_like_a_manifest(self, name: str) -> None:
        """Every kind has the same head."""
        found = schema.load(name)

        assert set(found["properties"]) == {"apiVersion", "kind", "metadata", "spec"}
        assert found["properties"]["apiVersion"]["const"] == "orchestrator/v1"
        assert found["properties"]["kind"]["const"].lower() == name

    def test_something_makes_it(self, name: str) -> None:
        """A kind that can be declared has a module that expands it."""
        assert name in components.list_kinds()

    def test_handles_are_of_kinds_there_are(self, name: str) -> None:
        """`x-handle` names kinds."""
        named = [node["x-handle"] for _, node in objects(name) if isinstance(node.get("x-handle"), list)]

        assert {kind for kinds in named for kind in kinds} <= set(KINDS)


def described(annotation: Any) -> Any:
    """A type of the model as the part of JSON Schema that says the same."""
    origin, arguments = typing.get_origin(annotation), typing.get_args(annotation)
    if origin is tuple:
        return {"type": "array", "items": described(arguments[0])}
    if origin is types.UnionType:
        return {"anyOf": [described(argument) for argument in arguments]}
    if isinstance(annotation, type) and issubclass(annotation, Struct):
        return {"$ref": f"#/$defs/{getattr(annotation, '__name__', '')}"}
    if isinstance(annotation, type) and issubclass(annotation, StrEnum):
        return {"type": "string", "enum": [member.value for member in annotation]}
    plain = {str: "string", bool: "boolean", int: "integer", types.NoneType: "null"}
    return {"type": plain[annotation]} if annotation in plain else {}


def bare(part: Any) -> Any:
    """A schema without words and limits: only what a type says."""
    if isinstance(part, list):
        return [bare(item) for item in part]
    kept = ("type", "items", "anyOf", "$ref", "enum")
    return {
        key: value if key in {"type", "$ref", "enum"} else bare(value) for key, value in part.items() if key in kept
    }


@pytest.mark.parametrize(
    "described_type",
    [
        vocabulary.Plan,
        vocabulary.Change,
        vocabulary.FieldChange,
        vocabulary.PlannedStep,
        vocabulary.Veto,
        vocabulary.Unread,
        vocabulary.Waived,
        Position,
    ],
    ids=lambda found: found.__name__,
)
def test_the_plan_schema_is_the_plan(described_type: type[Struct]) -> None:
    """The schema of a plan has exactly the fields and types of the structs, all of them required."""
    root = schema.load("plan")
    part = root if described_type is vocabulary.Plan else root["$defs"][described_type.__name__]
    hints = typing.get_type_hints(described_type)
    names = list(described_type.__struct_fields__)

    assert part["additionalProperties"] is False
    assert part["required"] == names
    assert {name: bare(part["properties"][name]) for name in names} == {name: described(hints[name]) for name in names}
