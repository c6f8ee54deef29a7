"""What JSON Schema finds, said for people: where, in which words, and what to write instead.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from orchestrator.manifest import schema, secret_scan, suggest
from orchestrator.manifest.document import Declared, written
from orchestrator.manifest.schema_violation import Complaint, inline, show
from orchestrator.problems import Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

LONGEST_HINT = 80
WORDS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "empty",
}


def problems(errors: Iterator[ValidationError], declared: Declared) -> Iterator[Problem]:
    """Every schema error as a problem; a value that still holds a reference is judged once that is resolved."""
    for error in errors:
        if isinstance(error.instance, str) and "${" in error.instance:
            continue
        yield from _problems(error, declared)


def _problems(error: ValidationError, declared: Declared) -> Iterator[Problem]:
    complaint = Complaint(error, declared)
    if "propertyNames" in error.absolute_schema_path:
        yield _key_name(complaint)
        return
    reason = complaint.schema.get("x-reason")
    if reason and error.validator not in _STRUCTURE:
        yield complaint.problem(f"{complaint.name} {_is(complaint)}: {reason}")
        return
    yield from _SAYERS.get(str(error.validator), _other)(complaint)


def _is(complaint: Complaint) -> str:
    return f"cannot be {complaint.shown}"


def _unknown_members(complaint: Complaint) -> Iterator[Problem]:
    known = complaint.schema.get("properties", {})
    patterns = complaint.schema.get("patternProperties", {})
    for key in complaint.value:
        if key not in known and not (patterns and schema.member({}, complaint.schema, key) is not None):
            hint = _elsewhere(complaint, key) or suggest.hint(key, known, there_are=f"{complaint.name} has")
            message = f"{complaint.name} has no `{key[:60]}`"
            yield complaint.problem(message, hint, path=(*complaint.path, key), key=True)


def _elsewhere(complaint: Complaint, key: str) -> str | None:
    """Where in the manifest a misplaced key belongs."""
    name = complaint.declared.kind.lower()
    places = [path for path in _paths(name, schema.load(name), ()) if path[-1] == key and path[:-1] != complaint.path]
    if suggest.closest(key, complaint.schema.get("properties", {}), cutoff=0.8) or not places:
        return None
    nearest = min(len(path) for path in places)
    return f"it belongs there: {written(next(path for path in places if len(path) == nearest))}"


def _paths(name: str, part: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for form in schema.forms(schema.load(name), part):
        for key, sub in form.get("properties", {}).items():
            yield (*path, key)
            yield from _paths(name, sub, (*path, key))


def _missing(complaint: Complaint) -> Iterator[Problem]:
    for key in complaint.rule:
        if key not in complaint.value:
            root = schema.load(complaint.declared.kind.lower())
            sub = schema.deref(root, schema.member(root, complaint.schema, key))
            place = written((complaint.declared.kind, *complaint.path, key))
            hint = _written_out(key, sub) or f"see `orchestrator explain {place}`"
            yield complaint.problem(f"{written((*complaint.path, key))} is missing", hint, path=(*complaint.path, key))


def _written_out(key: str, sub: schema.Schema) -> str | None:
    examples = sub.get("examples")
    text = f"{key}: {inline(examples[0])}" if examples else ""
    return text if 0 < len(text) <= LONGEST_HINT else None


def _type(complaint: Complaint) -> Iterator[Problem]:
    types = [complaint.rule] if isinstance(complaint.rule, str) else list(complaint.rule)
    wanted = " or ".join(WORDS[name] for name in types)
    value, node = complaint.value, complaint.declared.node(complaint.path)
    raw = node.value if isinstance(node, yaml.ScalarNode) else ""
    if value is None:
        yield complaint.problem(f"{complaint.name} is empty; it must be {wanted}", complaint.example)
    elif "string" in types and isinstance(value, bool):
        message = f"{complaint.name} must be text, but `{raw}` is read by YAML as {str(value).lower()}"
        yield complaint.problem(message, f'quote it: "{raw}"')
    elif "string" in types and isinstance(value, int | float):
        yield complaint.problem(f"{complaint.name} must be text, but `{raw}` is a number", f'quote it: "{raw}"')
    elif isinstance(value, bool) and raw.lower() != str(value).lower():
        message = f"{complaint.name} must be {wanted}, but `{raw}` is read by YAML as {str(value).lower()}"
        yield complaint.problem(message, complaint.example)
    else:
        message = f"{complaint.name} must be {wanted}, not {complaint.called}"
        yield complaint.problem(message, _hint_type(types, complaint))


def _hint_type(types: list[str], complaint: Complaint) -> str | None:
    value = complaint.value
    if isinstance(value, str) and {"integer", "number"} & set(types):
        try:
            number = float(value)
        except ValueError:
            return complaint.example
        if number == number and abs(number) < 1e15:
            return f"write it without quotes: {number:.15g}"
    if isinstance(value, str) and "boolean" in types and value.lower() in {"true", "yes", "on", "false", "no", "off"}:
        return "write it without quotes"
    if "array" in types and isinstance(value, str) and not secret_scan.reason(complaint.path, value):
        return f"a list of one is written [{value[:60]}]"
    return complaint.example


def _enum(complaint: Complaint) -> Iterator[Problem]:
    allowed = [inline(value) for value in complaint.rule]
    meant = suggest.closest(inline(complaint.value), allowed)
    message = f"{complaint.name} must be one of {', '.join(allowed)}, not {complaint.shown}"
    yield complaint.problem(message, f"did you mean `{meant}`?" if meant else None)


def _const(complaint: Complaint) -> Iterator[Problem]:
    yield complaint.problem(f"{complaint.name} must be {inline(complaint.rule)}, not {complaint.shown}")


def _pattern(complaint: Complaint) -> Iterator[Problem]:
    message = f"{complaint.name} cannot be {complaint.shown}: it must match {complaint.rule}"
    yield complaint.problem(message, complaint.example)


def _bound(words: str) -> Callable[[Complaint], Iterator[Problem]]:
    def say(complaint: Complaint) -> Iterator[Problem]:
        yield complaint.problem(f"{complaint.name} must be {words} {inline(complaint.rule)}, not {complaint.shown}")

    return say


def _size(words: str, unit: str) -> Callable[[Complaint], Iterator[Problem]]:
    def say(complaint: Complaint) -> Iterator[Problem]:
        count = len(complaint.value)
        plural = unit if complaint.rule == 1 else {"entry": "entries"}.get(unit, f"{unit}s")
        message = f"{complaint.name} must have {words} {complaint.rule} {plural}, not {count}"
        yield complaint.problem(message, complaint.example)

    return say


def _twice(complaint: Complaint) -> Iterator[Problem]:
    items: list[Any] = complaint.value
    for index, item in enumerate(items):
        if item in items[:index]:
            path = (*complaint.path, index)
            message = f"{written(path)}: {show(path, item)} is there twice"
            yield complaint.problem(message, "keep one of them", path=path)


def _key_name(complaint: Complaint) -> Problem:
    """``propertyNames``: what is wrong is a key; the error's path is that of the mapping around it."""
    key = str(complaint.value)
    message = f"`{key[:60]}` cannot be a key of {complaint.name}"
    hint = complaint.schema.get("x-reason") or complaint.example or complaint.schema.get("description")
    return complaint.problem(message, hint, path=(*complaint.path, key), key=True)


def _depends(complaint: Complaint) -> Iterator[Problem]:
    for key, needed in complaint.rule.items():
        for other in needed:
            if key in complaint.value and other not in complaint.value:
                path = (*complaint.path, key)
                message = f"{written(path)} needs {written((*complaint.path, other))}"
                yield complaint.problem(message, path=path, key=True)


def _branches(complaint: Complaint) -> Iterator[Problem]:
    """anyOf, oneOf: the errors of the form that was probably meant."""
    if not complaint.error.context:
        yield complaint.problem(f"{complaint.name} fits more than one of its forms", complaint.example)
        return
    groups: dict[Any, list[ValidationError]] = {}
    for inner in complaint.error.context:
        groups.setdefault(inner.relative_schema_path[0], []).append(inner)
    meant = [errors for errors in groups.values() if not any(_is_other_form(error) for error in errors)]
    if meant:
        closest = min(meant, key=lambda errors: (len(errors), -max(len(error.relative_path) for error in errors)))
        for inner in closest:
            yield from _problems(inner, complaint.declared)
        return
    wanted = " or ".join(dict.fromkeys(filter(None, map(_form, complaint.rule)))) or "something else"
    yield complaint.problem(f"{complaint.name} must be {wanted}, not {complaint.called}", complaint.example)


def _is_other_form(error: ValidationError) -> bool:
    """Whether the value is of another kind altogether than this form wants."""
    return not error.relative_path and error.validator in {"type", "enum", "const"}


def _form(branch: Any) -> str:
    if not isinstance(branch, Mapping):
        return ""
    for keyword in ("const", "enum"):
        if keyword in branch:
            values = branch["enum"] if keyword == "enum" else [branch["const"]]
            return " or ".join(inline(value) for value in values)
    types = branch.get("type", ())
    return " or ".join(WORDS[name] for name in ([types] if isinstance(types, str) else types))


def _other(complaint: Complaint) -> Iterator[Problem]:
    message = f"{complaint.name} is not as it must be ({complaint.error.validator})"
    yield complaint.problem(message, complaint.schema.get("description"))


_STRUCTURE = {"type", "required", "additionalProperties", "unevaluatedProperties", "anyOf", "oneOf"}
_SAYERS: dict[str, Callable[[Complaint], Iterator[Problem]]] = {
    "additionalProperties": _unknown_members,
    "unevaluatedProperties": _unknown_members,
    "required": _missing,
    "type": _type,
    "enum": _enum,
    "const": _const,
    "pattern": _pattern,
    "minimum": _bound("at least"),
    "maximum": _bound("at most"),
    "exclusiveMinimum": _bound("more than"),
    "exclusiveMaximum": _bound("less than"),
    "multipleOf": _bound("a multiple of"),
    "minLength": _size("at least", "character"),
    "maxLength": _size("at most", "character"),
    "minItems": _size("at least", "item"),
    "maxItems": _size("at most", "item"),
    "minProperties": _size("at least", "entry"),
    "maxProperties": _size("at most", "entry"),
    "uniqueItems": _twice,
    "dependentRequired": _depends,
    "anyOf": _branches,
    "oneOf": _branches,
}
