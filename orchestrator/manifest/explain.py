"""Describe a manifest field from its schema, like ``kubectl explain``: ``bucket.spec.lifecycle``."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml
from msgspec import Struct

from orchestrator.manifest import schema, suggest
from orchestrator.manifest.schema import Schema
from orchestrator.problems import Problems

MAX_WIDTH = 100
MAX_DEPTH = 10
"""Maximum depth of nested fields that are listed."""
INDENT = "  "
_CONSTRAINT_TEXTS = (
    ("pattern", "matches {}"),
    ("minimum", "at least {}"),
    ("maximum", "at most {}"),
    ("exclusiveMinimum", "more than {}"),
    ("exclusiveMaximum", "less than {}"),
    ("multipleOf", "a multiple of {}"),
    ("minLength", "at least {} characters"),
    ("maxLength", "at most {} characters"),
    ("minItems", "at least {} items"),
    ("maxItems", "at most {} items"),
)


def explain(path: str, recursive: bool = False) -> str:
    """Return the page about one field (with ``recursive``, all fields below it as a tree); for "", list every kind.

    Raises Problems if the field does not exist, with the closest match as the hint.
    """
    schema_word, *field_names = [
        field_schema.removesuffix("[]") for field_schema in path.strip().strip(".").split(".") if field_schema
    ] or [""]
    if not schema_word:
        return "\n".join(_list_kinds()) + "\n"
    name = _find_schema_name(schema_word)
    root = schema.load(name)
    field_schema: Schema = schema.resolve_ref(root, root)
    path_names = [schema.manifest_kind(name) or name]
    for key in field_names:
        fields = _collect_fields(root, field_schema)
        if key not in fields:
            message = f"{'.'.join(path_names)} has no field `{key}`"
            raise Problems.from_message(message, hint=suggest.hint(key, fields, list_prefix="available fields"))
        field_schema = schema.resolve_ref(root, fields[key])
        path_names.append(key)
    return "\n".join(_page_lines(root, field_schema, path_names, recursive)) + "\n"


class FieldDescription(Struct, frozen=True):
    """One field of a kind: its path (``spec.cors[].origins``), JSON type, default, limits and examples, as text.

    ``rule`` is the sentence that a violation prints after the field's name, "" if the schema has none.
    """

    path: str
    type: str
    is_required: bool
    default: str
    description: str
    limits: tuple[str, ...]
    rule: str
    examples: tuple[str, ...]


def describe_fields(kind: str) -> list[FieldDescription]:
    """Return every field of a kind or schema, outer fields before their own.

    Raises Problems if there is no such kind.
    """
    root = schema.load(_find_schema_name(kind))
    return list(_iter_descriptions(root, schema.resolve_ref(root, root), ""))


def list_fields(path: str) -> list[FieldDescription]:
    """Return the field at ``path`` (a kind and, after dots, its fields) and those below it; for "", every kind.

    Raises Problems if the field does not exist.
    """
    if not path:
        return [_describe_kind(name) for name in schema.list_names()]
    explain(path)  # says what does not exist, and what is close
    kind, _, field_path = path.strip().strip(".").replace("[]", "").partition(".")
    fields = [(field.path.replace("[]", ""), field) for field in describe_fields(kind)]
    return [field for name, field in fields if f"{name}.".startswith(f"{field_path}." if field_path else "")]


def _describe_kind(name: str) -> FieldDescription:
    description = str(schema.load(name).get("description", ""))
    return FieldDescription(schema.manifest_kind(name) or name, "object", False, "", description, (), "", ())


def _iter_descriptions(root: Schema, parent: Schema, prefix: str) -> Iterator[FieldDescription]:
    required = _required_fields(root, parent)
    for key, subschema in _collect_fields(root, parent).items():
        resolved = schema.resolve_ref(root, subschema)
        path, type_name = f"{prefix}{key}", _describe_type(root, resolved)
        yield FieldDescription(
            path,
            type_name,
            key in required,
            _format_value(resolved["default"]) if "default" in resolved else "",
            str(resolved.get("description", "")),
            tuple(_limit_lines(root, resolved)),
            next((str(form["x-reason"]) for form in schema.iter_forms(root, resolved) if "x-reason" in form), ""),
            tuple(_format_value(example) for example in resolved.get("examples", ())),
        )
        if prefix.count(".") < MAX_DEPTH:
            yield from _iter_descriptions(root, resolved, f"{path}{'[]' if type_name.startswith('[]') else ''}.")


def _list_kinds() -> Iterator[str]:
    for name in schema.list_names():
        root = schema.load(name)
        yield schema.manifest_kind(name) or name
        yield from (f"{INDENT}{line}" for line in _wrap(str(root.get("description", ""))))


def _find_schema_name(word: str) -> str:
    schema_names = {
        **{name: name for name in schema.list_names()},
        **{kind: kind.lower() for kind in schema.manifest_kinds()},
    }
    if word in schema_names or word.lower() in schema_names:
        return schema_names.get(word, word.lower())
    choices = [schema.manifest_kind(name) or name for name in schema.list_names()]
    raise Problems.from_message(
        f"unknown kind or schema `{word}`", hint=suggest.hint(word, choices, list_prefix="available")
    )


def _collect_fields(root: Schema, field_schema: Schema) -> dict[str, Any]:
    """Return the fields of an object, of a list's items, or of any form the value may take."""
    fields: dict[str, Any] = {}
    for form in schema.iter_forms(root, field_schema):
        fields.update({key: value for key, value in form.get("properties", {}).items() if key not in fields})
        for nested_schema in (form.get("items"), form.get("additionalProperties")):
            if isinstance(nested_schema, Mapping):
                fields = {**_collect_fields(root, nested_schema), **fields}
    return fields


def _describe_type(root: Schema, field_schema: Any) -> str:
    names: list[str] = []
    for form in schema.iter_forms(root, field_schema):
        types = form.get("type", ())
        if not types and isinstance(form.get("const"), str):
            types = "string"
        names += [_describe_json_type(root, form, name) for name in ([types] if isinstance(types, str) else types)]
    return " or ".join(dict.fromkeys(names)) or "any"


def _describe_json_type(root: Schema, form: Schema, name: str) -> str:
    if name == "array":
        return f"[]{_describe_type(root, form.get('items', {}))}"
    if name == "object" and isinstance(form.get("additionalProperties"), Mapping):
        return f"map of {_describe_type(root, form['additionalProperties'])}"
    return name


def _required_fields(root: Schema, field_schema: Schema) -> set[str]:
    """Return the required fields of an object, of a list's items, or of any form the value may take."""
    required: set[str] = set()
    for form in schema.iter_forms(root, field_schema):
        required.update(form.get("required", ()))
        for nested_schema in (form.get("items"), form.get("additionalProperties")):
            if isinstance(nested_schema, Mapping):
                required |= _required_fields(root, nested_schema)
    return required


def _page_lines(root: Schema, field_schema: Schema, path_names: list[str], recursive: bool) -> Iterator[str]:
    yield f"KIND:     {path_names[0]}"
    if path_names[1:]:
        yield f"FIELD:    {'.'.join(path_names[1:])} <{_describe_type(root, field_schema)}>"
    yield from _section("DESCRIPTION", _wrap(str(field_schema.get("description", ""))))
    if "default" in field_schema:
        yield from _section("DEFAULT", [_format_value(field_schema["default"])])
    yield from _section("ALLOWED", _constraint_lines(root, field_schema))
    examples = field_schema.get("examples", ())
    title = "EXAMPLES" if len(examples) > 1 else "EXAMPLE"
    yield from _section(title, [line for example in examples for line in _example_lines(example)])
    fields = _collect_fields(root, field_schema)
    field_lines = _tree_lines(root, field_schema, 1) if recursive else _field_lines(root, field_schema, fields)
    yield from _section("FIELDS", field_lines)


def _section(title: str, lines: Any) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield ""
        yield f"{title}:"
        yield from (f"{INDENT}{line}".rstrip() for line in lines)


def _wrap(text: str) -> list[str]:
    return textwrap.wrap(text, MAX_WIDTH - len(INDENT))


def _format_value(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _example_lines(value: Any) -> list[str]:
    """Return an example as the lines of a manifest."""
    if not isinstance(value, Mapping | list):
        return [_format_value(value)]
    text = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, width=1 << 30, allow_unicode=True)
    return str(text).splitlines()


def _constraint_lines(root: Schema, field_schema: Schema) -> Iterator[str]:
    yield from _limit_lines(root, field_schema)
    for form in schema.iter_forms(root, field_schema):
        if "x-reason" in form:
            yield from _wrap(f"({form['x-reason']})")


def _limit_lines(root: Schema, field_schema: Schema) -> Iterator[str]:
    for form in schema.iter_forms(root, field_schema):
        if "enum" in form or "const" in form:
            yield ", ".join(_format_value(value) for value in form.get("enum", [form.get("const")]))
        for keyword, template in _CONSTRAINT_TEXTS:
            if keyword in form:
                yield template.format(form[keyword])
        if "x-handle" in form:
            kinds = form["x-handle"]
            yield f"a reference to a {' or '.join(kinds) if isinstance(kinds, list) else 'component'}: kind.name"


def _field_lines(root: Schema, field_schema: Schema, fields: Mapping[str, Any]) -> Iterator[str]:
    required = _required_fields(root, field_schema)
    for key, subschema in fields.items():
        resolved_schema = schema.resolve_ref(root, subschema)
        required_mark = " required" if key in required else ""
        default_text = f" (default {_format_value(resolved_schema['default'])})" if "default" in resolved_schema else ""
        yield f"{key} <{_describe_type(root, resolved_schema)}>{required_mark}{default_text}"
        yield from (f"{INDENT}{line}" for line in _wrap(str(resolved_schema.get("description", ""))))


def _tree_lines(root: Schema, field_schema: Schema, depth: int) -> Iterator[str]:
    required = _required_fields(root, field_schema)
    for key, subschema in _collect_fields(root, field_schema).items():
        resolved_schema = schema.resolve_ref(root, subschema)
        yield f"{key} <{_describe_type(root, resolved_schema)}>{' required' if key in required else ''}"
        yield from (f"{INDENT * 2}{line}" for line in _wrap(str(resolved_schema.get("description", ""))))
        if depth < MAX_DEPTH:
            yield from (f"{INDENT}{line}" for line in _tree_lines(root, resolved_schema, depth + 1))
