"""Load the JSON Schemas of the manifests and answer what they say about a value.

The schemas use draft 2020-12.  Every ``$ref`` stays in its own file, and nothing is fetched.  Four keywords are ours:
``x-reason`` is the text to print when a constraint is violated, ``x-handle`` (true, or a list of kinds in lower case)
marks a text that names a component, ``x-region`` one that names a region, which has to be the Project's, and
``x-list-key`` names the members by which overlays merge the items of a list.
"""

from __future__ import annotations

import json
import pathlib
import re
from collections.abc import Iterator, Mapping
from copy import deepcopy
from functools import cache
from typing import TYPE_CHECKING, Any, TypeAlias, cast

import orchestrator
from orchestrator.manifest.document import Path

if TYPE_CHECKING:
    from jsonschema import Draft202012Validator, ValidationError

Schema: TypeAlias = Mapping[str, Any]
SUFFIX = ".schema.json"


@cache
def schema_folder() -> pathlib.Path:
    """Return the folder of the schemas: inside the package in a wheel, beside it in a checkout."""
    package = pathlib.Path(orchestrator.__file__).parent
    packaged = package / "schemas"
    return packaged if packaged.is_dir() else package.parent / "schemas"


@cache
def list_names() -> tuple[str, ...]:
    """Return the names of all schemas, by file name: ``bucket``, ``plan``."""
    return tuple(sorted(path.name.removesuffix(SUFFIX) for path in schema_folder().glob(f"*{SUFFIX}")))


@cache
def load(name: str) -> Schema:
    """Return the schema named ``name``, e.g. ``bucket``.

    Raises KeyError if there is none.
    """
    if name not in list_names():
        raise KeyError(name)
    return cast(Schema, json.loads((schema_folder() / f"{name}{SUFFIX}").read_text(encoding="utf-8")))


def manifest_kind(name: str) -> str | None:
    """Return the manifest kind that schema ``name`` describes (``ContainerService``), or None if it describes none."""
    kind = load(name).get("properties", {}).get("kind", {}).get("const") if name in list_names() else None
    return cast("str | None", kind)


@cache
def manifest_kinds() -> tuple[str, ...]:
    """Return every manifest kind, as users write it."""
    return tuple(kind for kind in map(manifest_kind, list_names()) if kind)


@cache
def get_validator(name: str) -> Draft202012Validator:
    """Return the validator of one schema; it does not check formats, and tests check the schema itself."""
    return cast("Draft202012Validator", _validator_class()(load(name)))


@cache
def _validator_class() -> type:
    from jsonschema import Draft202012Validator
    from jsonschema.validators import extend

    return cast(type, cast(Any, extend)(Draft202012Validator, {"pattern": _check_pattern}))


def _check_pattern(_: Any, pattern: str, instance: Any, __: Any) -> Iterator[ValidationError]:
    """Yield an error if a text does not match.  In JSON Schema, ``$`` is the end of the text.

    In Python, it also matches before a line feed at the end, which a YAML block text has.
    """
    if isinstance(instance, str) and not _compile_pattern(pattern).search(instance):
        from jsonschema import ValidationError

        yield ValidationError(f"{instance!r} does not match {pattern!r}")


@cache
def _compile_pattern(pattern: str) -> re.Pattern[str]:
    """Return a JSON Schema pattern in Python's syntax; escaped and in brackets, ``$`` is a character."""
    parts = re.findall(r"\\.|\[(?:\\.|[^\]\\])*\]|\$|[^$\\\[]+", pattern)
    return re.compile("".join(r"\Z" if part == "$" else part for part in parts))


def resolve_ref(root: Schema, schema: Any) -> Schema:
    """Return ``schema`` with its local ``$ref`` resolved; keywords beside the ``$ref`` take precedence."""
    if not isinstance(schema, Mapping):
        return {}
    visited_refs: set[str] = set()
    resolved: Schema = schema
    while "$ref" in resolved and resolved["$ref"] not in visited_refs:
        visited_refs.add(resolved["$ref"])
        siblings = {key: value for key, value in resolved.items() if key != "$ref"}
        resolved = {**_follow_pointer(root, resolved["$ref"]), **siblings}
    return resolved


def _follow_pointer(root: Schema, pointer: str) -> Schema:
    target: Any = root
    for part in pointer.removeprefix("#").split("/")[1:]:
        target = target[part.replace("~1", "/").replace("~0", "~")]
    return cast(Schema, target)


def iter_forms(root: Schema, schema: Any) -> Iterator[Schema]:
    """Yield ``schema`` and all its forms (allOf, anyOf, oneOf, then, else), with local references resolved."""
    resolved = resolve_ref(root, schema)
    yield resolved
    for keyword in ("allOf", "anyOf", "oneOf"):
        for branch in resolved.get(keyword, ()):
            yield from iter_forms(root, branch)
    for keyword in ("then", "else"):
        if keyword in resolved:
            yield from iter_forms(root, resolved[keyword])


def iter_matching_forms(name: str, schema: Any, value: Any) -> Iterator[Schema]:
    """Yield the forms of ``schema`` that ``value`` matches."""
    root = load(name)
    resolved = resolve_ref(root, schema)
    yield resolved
    for branch in resolved.get("allOf", ()):
        yield from iter_matching_forms(name, branch, value)
    for keyword in ("anyOf", "oneOf"):
        for branch in resolved.get(keyword, ()):
            if is_valid_against(name, branch, value):
                yield from iter_matching_forms(name, branch, value)
    if "if" in resolved:
        yield from iter_matching_forms(
            name, resolved.get("then" if is_valid_against(name, resolved["if"], value) else "else", {}), value
        )


def is_valid_against(name: str, schema: Any, value: Any) -> bool:
    """Return whether ``value`` is valid against ``schema``, a part of the schema ``name``."""
    return bool(get_validator(name).evolve(schema=schema).is_valid(value))


def property_schema(root: Schema, schema: Schema, key: str) -> Any:
    """Return the schema of an object's member ``key``, or None if the object allows no such member."""
    properties = schema.get("properties", {})
    if key in properties:
        return properties[key]
    for pattern, pattern_schema in schema.get("patternProperties", {}).items():
        if re.search(pattern, key):
            return pattern_schema
    additional = schema.get("additionalProperties")
    return additional if isinstance(additional, Mapping) else None


def fill_defaults(name: str, value: Any, schema: Any = None) -> Any:
    """Return a valid ``value`` with the defaults of its schema filled in, at every depth."""
    matching_forms = list(iter_matching_forms(name, load(name) if schema is None else schema, value))
    if isinstance(value, Mapping):
        filled = dict(value)
        for form in matching_forms:
            for key, subschema in form.get("properties", {}).items():
                if key not in filled and "default" in (resolved := resolve_ref(load(name), subschema)):
                    filled[key] = deepcopy(resolved["default"])
        return {
            key: fill_defaults(name, item, _merge_property_schemas(name, matching_forms, key))
            for key, item in filled.items()
        }
    if isinstance(value, list):
        items = {"allOf": [form["items"] for form in matching_forms if "items" in form]}
        return [fill_defaults(name, item, items) for item in value]
    return value


def _merge_property_schemas(name: str, matching_forms: list[Schema], key: str) -> Schema:
    root = load(name)
    subschemas = [subschema for form in matching_forms if (subschema := property_schema(root, form, key)) is not None]
    return subschemas[0] if len(subschemas) == 1 else {"allOf": subschemas}


def iter_values(name: str, value: Any, schema: Any = None, path: Path = ()) -> Iterator[tuple[Path, Any, Schema]]:
    """Yield every value inside a valid ``value`` with its path and each schema that applies to it."""
    matching_forms = list(iter_matching_forms(name, load(name) if schema is None else schema, value))
    for form in matching_forms:
        yield path, value, form
    if isinstance(value, Mapping):
        for key, item in value.items():
            yield from iter_values(name, item, _merge_property_schemas(name, matching_forms, key), (*path, key))
    if isinstance(value, list):
        items = {"allOf": [form["items"] for form in matching_forms if "items" in form]}
        for index, item in enumerate(value):
            yield from iter_values(name, item, items, (*path, index))
