"""Check the constraints of a service model that botocore leaves to the server: patterns, enums, lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from orchestrator.emulator.errors import AwsError


def check_constraints(shape: Any, params: Any) -> None:
    """Raise AwsError ValidationException, in AWS's own words, for values that the model does not allow."""
    violations = list(_find_violations(shape, params, ""))
    if violations:
        plural_suffix = "s" if len(violations) > 1 else ""
        raise AwsError(
            "ValidationException",
            f"{len(violations)} validation error{plural_suffix} detected: {'; '.join(violations)}",
        )


def _find_violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape is None or value is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _find_violations(member, value.get(name), f"{path}.{name}".lstrip("."))
    elif shape.type_name == "list":
        yield from _find_range_violations(len(value), shape.metadata, value, path)
        for index, item in enumerate(value, 1):
            yield from _find_violations(shape.member, item, f"{path}.{index}.member")
    elif shape.type_name == "string":
        yield from _find_string_violations(shape, value, path)
    elif shape.type_name in ("integer", "long"):
        yield from _find_range_violations(value, shape.metadata, value, path)


def _find_string_violations(shape: Any, value: str, path: str) -> Iterator[str]:
    yield from _find_range_violations(len(value), shape.metadata, value, path)
    pattern = shape.metadata.get("pattern")
    compiled = _compile_pattern(pattern) if pattern else None
    if compiled and not compiled.fullmatch(value):
        yield f"{_failure_prefix(value, path)}: Member must satisfy regular expression pattern: {pattern}"
    allowed_values = getattr(shape, "enum", None)
    if allowed_values and value not in allowed_values:
        yield f"{_failure_prefix(value, path)}: Member must satisfy enum value set: {allowed_values}"


@cache
def _compile_pattern(pattern: str) -> re.Pattern[str] | None:
    """Compile a model's pattern in Python's syntax; return None for the few without an equivalent.

    Java allows flags such as (?s) anywhere, Python only at the start.
    """
    flags = "".join(re.findall(r"\(\?([ims]+)\)", pattern))
    bare_pattern = re.sub(r"\(\?[ims]+\)", "", pattern)
    try:
        return re.compile(f"(?{flags}){bare_pattern}" if flags else bare_pattern)
    except re.error:
        return None


def _find_range_violations(size: int, limits: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    minimum, maximum = limits.get("min"), limits.get("max")
    if (minimum is not None and size < minimum) or (maximum is not None and size > maximum):
        yield f"{_failure_prefix(value, path)}: Member must be between {minimum} and {maximum}"


def _failure_prefix(value: Any, path: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint"
