"""Turn JSON Schema errors into problems with a position, a readable message and a hint.  Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING, Any

import yaml

from orchestrator.manifest import schema, secret_scan, suggest
from orchestrator.manifest.document import Declaration, format_path
from orchestrator.manifest.schema_violation import Violation, format_inline, format_value
from orchestrator.problems import Problem

if TYPE_CHECKING:
    from jsonschema.exceptions import ValidationError

MAX_HINT_LENGTH = 80
TYPE_DESCRIPTIONS = {
    "object": "a mapping",
    "array": "a list",
    "string": "text",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "null": "empty",
}


def to_problems(errors: Iterator[ValidationError], declaration: Declaration) -> Iterator[Problem]:
    """Yield a problem for every schema error, except for values with references, which are validated once resolved."""
    for error in errors:
        if isinstance(error.instance, str) and "${" in error.instance:
            continue
        yield from _error_problems(error, declaration)


def _error_problems(error: ValidationError, declaration: Declaration) -> Iterator[Problem]:
    violation = Violation(error, declaration)
    if "propertyNames" in error.absolute_schema_path:
        yield _invalid_key_problem(violation)
        return
    reason = violation.schema.get("x-reason")
    if reason and error.validator not in _STRUCTURAL_KEYWORDS:
        yield violation.problem(f"{violation.name} {_describe_rejection(violation)}: {reason}")
        return
    yield from _REPORTERS.get(str(error.validator), _report_other_violation)(violation)


def _describe_rejection(violation: Violation) -> str:
    return f"cannot be {violation.formatted_value}"


def _report_unknown_properties(violation: Violation) -> Iterator[Problem]:
    known_properties = violation.schema.get("properties", {})
    patterns = violation.schema.get("patternProperties", {})
    for key in violation.value:
        if key not in known_properties and not (
            patterns and schema.property_schema({}, violation.schema, key) is not None
        ):
            hint = _misplaced_key_hint(violation, key) or suggest.hint(
                key, known_properties, list_prefix="available fields"
            )
            message = f"unknown field `{key[:60]}` in {violation.name}"
            yield violation.problem(message, hint, path=(*violation.path, key), key=True)


def _misplaced_key_hint(violation: Violation, key: str) -> str | None:
    """Return a hint with the place where a misplaced key belongs, or None."""
    name = violation.declaration.kind.lower()
    matching_paths = [
        path for path in _property_paths(name, schema.load(name), ()) if path[-1] == key and path[:-1] != violation.path
    ]
    if suggest.find_closest(key, violation.schema.get("properties", {}), cutoff=0.8) or not matching_paths:
        return None
    shortest_length = min(len(path) for path in matching_paths)
    return f"move it to {format_path(next(path for path in matching_paths if len(path) == shortest_length))}"


def _property_paths(name: str, subschema: Any, path: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    for form in schema.iter_forms(schema.load(name), subschema):
        for key, property_schema in form.get("properties", {}).items():
            yield (*path, key)
            yield from _property_paths(name, property_schema, (*path, key))


def _report_missing_properties(violation: Violation) -> Iterator[Problem]:
    for key in violation.rule_value:
        if key not in violation.value:
            root = schema.load(violation.declaration.kind.lower())
            property_schema = schema.resolve_ref(root, schema.property_schema(root, violation.schema, key))
            explain_path = format_path((violation.declaration.kind, *violation.path, key))
            hint = _example_hint(key, property_schema) or f"see `orchestrator explain {explain_path}`"
            yield violation.problem(
                f"{format_path((*violation.path, key))} is missing", hint, path=(*violation.path, key)
            )


def _example_hint(key: str, property_schema: schema.Schema) -> str | None:
    examples = property_schema.get("examples")
    text = f"{key}: {format_inline(examples[0])}" if examples else ""
    return f"add it, e.g. `{text}`" if 0 < len(text) <= MAX_HINT_LENGTH else None


def _report_wrong_type(violation: Violation) -> Iterator[Problem]:
    types = [violation.rule_value] if isinstance(violation.rule_value, str) else list(violation.rule_value)
    expected_types = " or ".join(TYPE_DESCRIPTIONS[name] for name in types)
    value, node = violation.value, violation.declaration.find_node(violation.path)
    raw = node.value if isinstance(node, yaml.ScalarNode) else ""
    if value is None:
        yield violation.problem(f"{violation.name} is empty; it must be {expected_types}", violation.example_hint)
    elif "string" in types and isinstance(value, bool):
        message = f"{violation.name} must be text, but YAML reads `{raw}` as {str(value).lower()}"
        yield violation.problem(message, f'quote it: "{raw}"')
    elif "string" in types and isinstance(value, int | float):
        yield violation.problem(f"{violation.name} must be text, but `{raw}` is a number", f'quote it: "{raw}"')
    elif isinstance(value, bool) and raw.lower() != str(value).lower():
        message = f"{violation.name} must be {expected_types}, but YAML reads `{raw}` as {str(value).lower()}"
        yield violation.problem(message, violation.example_hint)
    else:
        message = f"{violation.name} must be {expected_types}, not {violation.value_description}"
        yield violation.problem(message, _type_hint(types, violation))


def _type_hint(types: list[str], violation: Violation) -> str | None:
    value = violation.value
    if isinstance(value, str) and {"integer", "number"} & set(types):
        try:
            number = float(value)
        except ValueError:
            return violation.example_hint
        if number == number and abs(number) < 1e15:
            return f"write it without quotes: {number:.15g}"
    if isinstance(value, str) and "boolean" in types and value.lower() in {"true", "yes", "on", "false", "no", "off"}:
        return "write it without quotes"
    if "array" in types and isinstance(value, str) and not secret_scan.detect_secret_type(violation.path, value):
        return f"write it as a list: [{value[:60]}]"
    return violation.example_hint


def _report_value_not_in_enum(violation: Violation) -> Iterator[Problem]:
    allowed = [format_inline(value) for value in violation.rule_value]
    suggestion = suggest.find_closest(format_inline(violation.value), allowed)
    message = f"{violation.name} must be one of {', '.join(allowed)}, not {violation.formatted_value}"
    yield violation.problem(message, f"did you mean `{suggestion}`?" if suggestion else None)


def _report_wrong_constant(violation: Violation) -> Iterator[Problem]:
    yield violation.problem(
        f"{violation.name} must be {format_inline(violation.rule_value)}, not {violation.formatted_value}"
    )


def _report_pattern_mismatch(violation: Violation) -> Iterator[Problem]:
    message = f"{violation.name} cannot be {violation.formatted_value}: it must match {violation.rule_value}"
    yield violation.problem(message, violation.example_hint)


def _limit_reporter(comparison: str) -> Callable[[Violation], Iterator[Problem]]:
    def report(violation: Violation) -> Iterator[Problem]:
        yield violation.problem(
            f"{violation.name} must be {comparison} "
            f"{format_inline(violation.rule_value)}, not {violation.formatted_value}"
        )

    return report


def _size_reporter(comparison: str, unit: str) -> Callable[[Violation], Iterator[Problem]]:
    def report(violation: Violation) -> Iterator[Problem]:
        count = len(violation.value)
        plural = unit if violation.rule_value == 1 else {"entry": "entries"}.get(unit, f"{unit}s")
        message = f"{violation.name} must have {comparison} {violation.rule_value} {plural}, not {count}"
        yield violation.problem(message, violation.example_hint)

    return report


def _report_duplicate_items(violation: Violation) -> Iterator[Problem]:
    items: list[Any] = violation.value
    for index, item in enumerate(items):
        if item in items[:index]:
            path = (*violation.path, index)
            message = f"{format_path(path)}: {format_value(path, item)} appears twice"
            yield violation.problem(message, "remove one of them", path=path)


def _invalid_key_problem(violation: Violation) -> Problem:
    """Return the problem of an invalid key (``propertyNames``); the error's path is that of its mapping."""
    key = str(violation.value)
    message = f"invalid key `{key[:60]}` in {violation.name}"
    hint = violation.schema.get("x-reason") or violation.example_hint or violation.schema.get("description")
    return violation.problem(message, hint, path=(*violation.path, key), key=True)


def _report_missing_dependents(violation: Violation) -> Iterator[Problem]:
    for key, required_keys in violation.rule_value.items():
        for required_key in required_keys:
            if key in violation.value and required_key not in violation.value:
                path = (*violation.path, key)
                message = f"{format_path(path)} requires {format_path((*violation.path, required_key))}"
                yield violation.problem(message, path=path, key=True)


def _report_no_matching_form(violation: Violation) -> Iterator[Problem]:
    """Yield the errors of the form that was probably meant (anyOf, oneOf)."""
    if not violation.error.context:
        yield violation.problem(f"{violation.name} matches more than one of the allowed forms", violation.example_hint)
        return
    errors_by_form: dict[Any, list[ValidationError]] = {}
    for form_error in violation.error.context:
        errors_by_form.setdefault(form_error.relative_schema_path[0], []).append(form_error)
    same_type_forms = [
        errors for errors in errors_by_form.values() if not any(_is_type_mismatch(error) for error in errors)
    ]
    if same_type_forms:
        closest_errors = min(
            same_type_forms, key=lambda errors: (len(errors), -max(len(error.relative_path) for error in errors))
        )
        for form_error in closest_errors:
            yield from _error_problems(form_error, violation.declaration)
        return
    expected_forms = (
        " or ".join(dict.fromkeys(filter(None, map(_describe_form, violation.rule_value)))) or "a different value"
    )
    yield violation.problem(
        f"{violation.name} must be {expected_forms}, not {violation.value_description}", violation.example_hint
    )


def _is_type_mismatch(error: ValidationError) -> bool:
    """Return whether the value has a different type than this form."""
    return not error.relative_path and error.validator in {"type", "enum", "const"}


def _describe_form(form: Any) -> str:
    if not isinstance(form, Mapping):
        return ""
    for keyword in ("const", "enum"):
        if keyword in form:
            values = form["enum"] if keyword == "enum" else [form["const"]]
            return " or ".join(format_inline(value) for value in values)
    types = form.get("type", ())
    return " or ".join(TYPE_DESCRIPTIONS[name] for name in ([types] if isinstance(types, str) else types))


def _report_other_violation(violation: Violation) -> Iterator[Problem]:
    message = f"{violation.name} violates the schema rule `{violation.error.validator}`"
    yield violation.problem(message, violation.schema.get("description"))


_STRUCTURAL_KEYWORDS = {"type", "required", "additionalProperties", "unevaluatedProperties", "anyOf", "oneOf"}
_REPORTERS: dict[str, Callable[[Violation], Iterator[Problem]]] = {
    "additionalProperties": _report_unknown_properties,
    "unevaluatedProperties": _report_unknown_properties,
    "required": _report_missing_properties,
    "type": _report_wrong_type,
    "enum": _report_value_not_in_enum,
    "const": _report_wrong_constant,
    "pattern": _report_pattern_mismatch,
    "minimum": _limit_reporter("at least"),
    "maximum": _limit_reporter("at most"),
    "exclusiveMinimum": _limit_reporter("more than"),
    "exclusiveMaximum": _limit_reporter("less than"),
    "multipleOf": _limit_reporter("a multiple of"),
    "minLength": _size_reporter("at least", "character"),
    "maxLength": _size_reporter("at most", "character"),
    "minItems": _size_reporter("at least", "item"),
    "maxItems": _size_reporter("at most", "item"),
    "minProperties": _size_reporter("at least", "entry"),
    "maxProperties": _size_reporter("at most", "entry"),
    "uniqueItems": _report_duplicate_items,
    "dependentRequired": _report_missing_dependents,
    "anyOf": _report_no_matching_form,
    "oneOf": _report_no_matching_form,
}
