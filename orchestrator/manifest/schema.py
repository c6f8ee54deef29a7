"""The JSON Schemas of the manifests: where they are, what they say of one value.

May read: the schema files.  May not: fetch anything; every ``$ref`` stays in its own file.  Draft 2020-12.
Beside the standard keywords ``x-reason`` is the sentence to print when a constraint is broken, and ``x-handle``
(true, or a list of kinds in lower case) says that a text names a component.
"""

from __future__ import annotations

import json
import pathlib
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import orchestrator
from orchestrator.manifest.document import Path

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator

Schema: TypeAlias = Mapping[str, Any]
SUFFIX = ".schema.json"


@cache
def folder() -> pathlib.Path:
    """Where the schemas are: inside the package in a wheel, beside it in a checkout."""
    package = pathlib.Path(orchestrator.__file__).parent
    inside = package / "schemas"
    return inside if inside.is_dir() else package.parent / "schemas"


@cache
def names() -> tuple[str, ...]:
    """Every schema there is, by file name: ``bucket``, ``plan``."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in folder().glob(f"*{SUFFIX}")))


@cache
def load(name: str) -> Schema:
    """The schema called ``name``, e.g. ``bucket``.

    Raises KeyError when there is none.
    """
    if name not in names():
        raise KeyError(name)
    return cast(Schema, json.loads((folder() / f"{name}{SUFFIX}").read_text(encoding="utf-8")))


def kind_of(name: str) -> str | None:
    """The manifest kind that schema ``name`` describes (``ContainerService``), or None: it describes something else."""
    kind = load(name).get("properties", {}).get("kind", {}).get("const") if name in names() else None
    return cast("str | None", kind)


@cache
def kinds() -> tuple[str, ...]:
    """Every manifest kind, as it is written."""
    return tuple(kind for kind in map(kind_of, names()) if kind)


@cache
def validator(name: str) -> Draft202012Validator:
    """The validator of one schema; formats are not checked, and the schema itself is checked by the tests."""
    from jsonschema import Draft202012Validator

    return Draft202012Validator(load(name))


def deref(root: Schema, schema: Any) -> Schema:
    """``schema`` with its local ``$ref`` followed; what stands beside the ``$ref`` wins."""
    if not isinstance(schema, Mapping):
        return {}
    seen: set[str] = set()
    flat: Schema = schema
    while "$ref" in flat and flat["$ref"] not in seen:
        seen.add(flat["$ref"])
        beside = {key: value for key, value in flat.items() if key != "$ref"}
        flat = {**_pointed(root, flat["$ref"]), **beside}
    return flat


def _pointed(root: Schema, pointer: str) -> Schema:
    target: Any = root
    for part in pointer.removeprefix("#").split("/")[1:]:
        target = target[part.replace("~1", "/").replace("~0", "~")]
    return cast(Schema, target)


def forms(root: Schema, schema: Any) -> Iterator[Schema]:
    """``schema`` and every form it offers (allOf, anyOf, oneOf, then, else), local references followed."""
    flat = deref(root, schema)
    yield flat
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in flat.get(keyword, ()):
            yield from forms(root, branch)
    for keyword in ("then", "else"):
        if keyword in flat:
            yield from forms(root, flat[keyword])


def applying(name: str, schema: Any, value: Any) -> Iterator[Schema]:
    """Of the forms of ``schema`` those that ``value`` takes."""
    root = load(name)
    flat = deref(root, schema)
    yield flat
    for branch in flat.get("allOf", ()):
        yield from applying(name, branch, value)
    for keyword in ("anyOf", "oneOf"):
        for branch in flat.get(keyword, ()):
            if fits(name, branch, value):
                yield from applying(name, branch, value)
    if "if" in flat:
        yield from applying(name, flat.get("then" if fits(name, flat["if"], value) else "else", {}), value)


def fits(name: str, schema: Any, value: Any) -> bool:
    """Whether ``value`` is valid under a part of the schema ``name``."""
    return bool(validator(name).evolve(schema=schema).is_valid(value))


def member(root: Schema, schema: Schema, key: str) -> Any:
    """The schema of one member of an object, or None when it may have none of that name."""
    properties = schema.get("properties", {})
    if key in properties:
        return properties[key]
    import re

    for pattern, found in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return found
    rest = schema.get("additionalProperties")
    return rest if isinstance(rest, Mapping) else None


def fill(name: str, value: Any, schema: Any = None) -> Any:
    """A valid ``value`` with the defaults of its schema filled in, at every depth."""
    parts = list(applying(name, load(name) if schema is None else schema, value))
    if isinstance(value, Mapping):
        filled = dict(value)
        for part in parts:
            for key, sub in part.get("properties", {}).items():
                if key not in filled and "default" in (default := deref(load(name), sub)):
                    filled[key] = deepcopy(default["default"])
        return {key: fill(name, item, _merged(name, parts, key)) for key, item in filled.items()}
    if isinstance(value, list):
        items = {"allOf": [part["items"] for part in parts if "items" in part]}
        return [fill(name, item, items) for item in value]
    return value


def _merged(name: str, parts: list[Schema], key: str) -> Schema:
    root = load(name)
    return {"allOf": [found for part in parts if (found := member(root, part, key)) is not None]}


def walk(name: str, value: Any, schema: Any = None, path: Path = ()) -> Iterator[tuple[Path, Any, Schema]]:
    """Every value inside a valid ``value`` with each schema that speaks of it."""
    parts = list(applying(name, load(name) if schema is None else schema, value))
    for part in parts:
        yield path, value, part
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from walk(name, item, _merged(name, parts, key), (*path, key))
    if isinstance(value, list):
        items = {"allOf": [part["items"] for part in parts if "items" in part]}
        for index, item in enumerate(value):
            yield from walk(name, item, items, (*path, index))
