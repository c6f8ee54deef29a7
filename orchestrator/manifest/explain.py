"""What a field of a manifest means, like ``kubectl explain``: ``bucket.spec.lifecycle``.  Reads the schemas only."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Iterator, Mapping
from typing import Any

import yaml

from orchestrator.manifest import schema, suggest
from orchestrator.manifest.schema import Schema
from orchestrator.problems import Problems

WIDTH = 100
INDENT = "  "
_RULES = (
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
    """The page about one field, with ``recursive`` all fields below it as a tree; for "" what there is.

    Raises Problems when there is no such field, with the one that was probably meant.
    """
    head, *rest = [part.removesuffix("[]") for part in path.strip().strip(".").split(".") if part] or [""]
    if not head:
        return "\n".join(_contents()) + "\n"
    name = _schema_name(head)
    root = schema.load(name)
    part: Schema = schema.deref(root, root)
    walked = [schema.kind_of(name) or name]
    for key in rest:
        fields = _fields(root, part)
        if key not in fields:
            message = f"{'.'.join(walked)} has no field `{key}`"
            raise Problems.one(message, hint=suggest.hint(key, fields, there_are="its fields are"))
        part = schema.deref(root, fields[key])
        walked.append(key)
    return "\n".join(_page(root, part, walked, recursive)) + "\n"


def _contents() -> Iterator[str]:
    for name in schema.names():
        root = schema.load(name)
        yield schema.kind_of(name) or name
        yield from (f"{INDENT}{line}" for line in _wrapped(str(root.get("description", ""))))


def _schema_name(word: str) -> str:
    known = {**{name: name for name in schema.names()}, **{kind: kind.lower() for kind in schema.kinds()}}
    if word in known or word.lower() in known:
        return known.get(word, word.lower())
    choices = [schema.kind_of(name) or name for name in schema.names()]
    raise Problems.one(f"nothing is called `{word}`", hint=suggest.hint(word, choices, there_are="there are"))


def _fields(root: Schema, part: Schema) -> dict[str, Any]:
    """The fields of an object, of the items of a list, or of any form a value may take."""
    found: dict[str, Any] = {}
    for form in schema.forms(root, part):
        found.update({key: value for key, value in form.get("properties", {}).items() if key not in found})
        for nested in (form.get("items"), form.get("additionalProperties")):
            if isinstance(nested, Mapping):
                found = {**_fields(root, nested), **found}
    return found


def _type(root: Schema, part: Any) -> str:
    names: list[str] = []
    for form in schema.forms(root, part):
        types = form.get("type", ())
        names += [_typed(root, form, name) for name in ([types] if isinstance(types, str) else types)]
    return " or ".join(dict.fromkeys(names)) or "any"


def _typed(root: Schema, form: Schema, name: str) -> str:
    if name == "array":
        return f"[]{_type(root, form.get('items', {}))}"
    if name == "object" and isinstance(form.get("additionalProperties"), Mapping):
        return f"map of {_type(root, form['additionalProperties'])}"
    return name


def _required(root: Schema, part: Schema) -> set[str]:
    return {key for form in schema.forms(root, part) for key in form.get("required", ())}


def _page(root: Schema, part: Schema, walked: list[str], recursive: bool) -> Iterator[str]:
    yield f"KIND:     {walked[0]}"
    if walked[1:]:
        yield f"FIELD:    {'.'.join(walked[1:])} <{_type(root, part)}>"
    yield from _block("DESCRIPTION", _wrapped(str(part.get("description", ""))))
    if "default" in part:
        yield from _block("DEFAULT", [_shown(part["default"])])
    yield from _block("ALLOWED", _allowed(root, part))
    examples = part.get("examples", ())
    title = "EXAMPLES" if len(examples) > 1 else "EXAMPLE"
    yield from _block(title, [line for example in examples for line in _yaml(example)])
    fields = _fields(root, part)
    tree = _tree(root, part, 1) if recursive else _listed(root, part, fields)
    yield from _block("FIELDS", tree)


def _block(title: str, lines: Any) -> Iterator[str]:
    lines = list(lines)
    if lines:
        yield ""
        yield f"{title}:"
        yield from (f"{INDENT}{line}".rstrip() for line in lines)


def _wrapped(text: str) -> list[str]:
    return textwrap.wrap(text, WIDTH - len(INDENT))


def _shown(value: Any) -> str:
    return value if isinstance(value, str) else json.dumps(value, ensure_ascii=False)


def _yaml(value: Any) -> list[str]:
    """An example as it would be written in a manifest; several of more than a line each are lists or mappings."""
    if not isinstance(value, Mapping | list):
        return [_shown(value)]
    text = yaml.dump(value, Dumper=yaml.CSafeDumper, sort_keys=False, width=1 << 30, allow_unicode=True)
    return str(text).splitlines()


def _allowed(root: Schema, part: Schema) -> Iterator[str]:
    for form in schema.forms(root, part):
        if "enum" in form or "const" in form:
            yield ", ".join(_shown(value) for value in form.get("enum", [form.get("const")]))
        for keyword, words in _RULES:
            if keyword in form:
                yield words.format(form[keyword])
        if "x-handle" in form:
            kinds = form["x-handle"]
            yield f"the handle of a {' or '.join(kinds) if isinstance(kinds, list) else 'component'}, as kind.name"
        if "x-reason" in form:
            yield from _wrapped(f"({form['x-reason']})")


def _listed(root: Schema, part: Schema, fields: Mapping[str, Any]) -> Iterator[str]:
    required = _required(root, part)
    for key, sub in fields.items():
        described = schema.deref(root, sub)
        mark = " required" if key in required else ""
        default = f" (default {_shown(described['default'])})" if "default" in described else ""
        yield f"{key} <{_type(root, described)}>{mark}{default}"
        yield from (f"{INDENT}{line}" for line in _wrapped(str(described.get("description", ""))))


def _tree(root: Schema, part: Schema, depth: int) -> Iterator[str]:
    required = _required(root, part)
    for key, sub in _fields(root, part).items():
        described = schema.deref(root, sub)
        yield f"{key} <{_type(root, described)}>{' required' if key in required else ''}"
        if depth < 10:
            yield from (f"{INDENT}{line}" for line in _tree(root, described, depth + 1))
