"""What botocore's service models say about the parameters of a call: lengths, ranges, patterns and enumerations.

botocore itself sends a value that breaks a pattern or is no member of an enumeration, and AWS answers with an error.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from functools import cache
from typing import Any

import botocore.session
from botocore import xform_name
from botocore.model import Shape

from orchestrator.steps import ApiCall
from orchestrator.values import reveal

SESSION = botocore.session.Session()


@cache
def load_input_shape(service: str, operation: str) -> Shape:
    """The input of an operation in boto3's spelling, such as ``create_bucket``."""
    model = SESSION.get_service_model(service)
    name = next(name for name in model.operation_names if xform_name(name) == operation)
    return model.operation_model(name).input_shape


def find_violations(call: ApiCall) -> list[str]:
    """Each parameter that breaks a constraint of its shape, with the constraint."""
    shape = load_input_shape(call.service, call.operation)
    return [f"{call.service}:{call.operation} {text}" for text in _walk(reveal(call.parameters), shape, "")]


def _walk(value: Any, shape: Shape, path: str) -> Iterator[str]:
    value = reveal(value)
    yield from _check(value, shape, path)
    if isinstance(value, Mapping) and shape.type_name == "structure":
        for name, member in value.items():
            yield from _walk(member, shape.members[name], f"{path}.{name}")
    elif isinstance(value, Mapping) and shape.type_name == "map":
        for key, member in value.items():
            yield from _walk(key, shape.key, f"{path} key")
            yield from _walk(member, shape.value, f"{path}{{}}")
    elif isinstance(value, list | tuple) and shape.type_name == "list":
        for member in value:
            yield from _walk(member, shape.member, f"{path}[]")


def _check(value: Any, shape: Shape, path: str) -> Iterator[str]:
    constraints = shape.metadata
    if isinstance(value, bool) or not isinstance(value, str | int | float | list | tuple):
        return
    measure = value if isinstance(value, int | float) else len(value)
    low, high = constraints.get("min"), constraints.get("max")
    if low is not None and measure < float(low):
        yield f"{path}: {measure} < {low}"
    if high is not None and measure > float(high):
        yield f"{path}: {measure} > {high}"
    if isinstance(value, str):
        if "enum" in constraints and value not in constraints["enum"]:
            yield f"{path}: {value[:60]!r} is not in the enumeration"
        pattern = _compile(constraints.get("pattern", ""))
        if pattern and not pattern.fullmatch(value):
            yield f"{path}: {value[:60]!r} does not match {constraints['pattern']}"


JAVA_SYNTAX = {r"\p{L}": r"\w", r"\p{N}": r"\d", r"\p{Z}": r"\s", r"\w-_": r"\w_-"}
"""What patterns of the models have that Python writes otherwise; ``(?i)`` comes first there."""


@cache
def _compile(pattern: str) -> re.Pattern[str] | None:
    for java, python in JAVA_SYNTAX.items():
        pattern = pattern.replace(java, python)
    flags = re.IGNORECASE if "(?i)" in pattern else 0
    return re.compile(pattern.replace("(?i)", ""), flags) if pattern else None
