"""The constraints of a service model that botocore leaves to the server: patterns, enums, maximum lengths."""

from __future__ import annotations

import re
from collections.abc import Iterator
from functools import cache
from typing import Any

from orchestrator.emulator.errors import AwsError


def check_constraints(shape: Any, params: Any) -> None:
    """Raise ValidationException, in AWS's own words, for values outside of what the model allows."""
    found = list(_violations(shape, params, ""))
    if found:
        plural = "s" if len(found) > 1 else ""
        raise AwsError("ValidationException", f"{len(found)} validation error{plural} detected: {'; '.join(found)}")


def _violations(shape: Any, value: Any, path: str) -> Iterator[str]:
    if shape is None or value is None:
        return
    if shape.type_name == "structure":
        for name, member in shape.members.items():
            yield from _violations(member, value.get(name), f"{path}.{name}".lstrip("."))
    elif shape.type_name == "list":
        yield from _outside(len(value), shape.metadata, value, path)
        for index, item in enumerate(value, 1):
            yield from _violations(shape.member, item, f"{path}.{index}.member")
    elif shape.type_name == "string":
        yield from _of_string(shape, value, path)
    elif shape.type_name in ("integer", "long"):
        yield from _outside(value, shape.metadata, value, path)


def _of_string(shape: Any, value: str, path: str) -> Iterator[str]:
    yield from _outside(len(value), shape.metadata, value, path)
    pattern = shape.metadata.get("pattern")
    compiled = _compiled(pattern) if pattern else None
    if compiled and not compiled.fullmatch(value):
        yield f"{_failed(value, path)}: Member must satisfy regular expression pattern: {pattern}"
    allowed = getattr(shape, "enum", None)
    if allowed and value not in allowed:
        yield f"{_failed(value, path)}: Member must satisfy enum value set: {allowed}"


@cache
def _compiled(pattern: str) -> re.Pattern[str] | None:
    """A model's pattern in Python's syntax; None for the few that have no equal there.

    Java allows flags such as (?s) anywhere, Python only at the start.
    """
    flags = "".join(re.findall(r"\(\?([ims]+)\)", pattern))
    bare = re.sub(r"\(\?[ims]+\)", "", pattern)
    try:
        return re.compile(f"(?{flags}){bare}" if flags else bare)
    except re.error:
        return None


def _outside(size: int, limits: dict[str, Any], value: Any, path: str) -> Iterator[str]:
    least, most = limits.get("min"), limits.get("max")
    if (least is not None and size < least) or (most is not None and size > most):
        yield f"{_failed(value, path)}: Member must be between {least} and {most}"


def _failed(value: Any, path: str) -> str:
    return f"Value '{value}' at '{path}' failed to satisfy constraint"
