"""Find the tests that start an emulated AWS, by the names in the code of a test, its fixtures and what they call."""

from __future__ import annotations

from collections.abc import Iterator
from functools import cache
from types import CodeType, FunctionType, ModuleType
from typing import Any

import pytest


def starts_emulator(item: pytest.Item) -> bool:
    """Whether a test, one of its fixtures, or a function of the tests that they name starts an emulated AWS."""
    return any(map(_reaches_start, _list_functions(item)))


def _list_functions(item: pytest.Item) -> Iterator[FunctionType]:
    if not isinstance(item, pytest.Function):
        return
    yield item.function
    for definitions in item._fixtureinfo.name2fixturedefs.values():
        yield from (definition.func for definition in definitions if isinstance(definition.func, FunctionType))


@cache
def _reaches_start(function: FunctionType) -> bool:
    visited: set[FunctionType] = set()
    pending = [function]
    while pending:
        current = pending.pop()
        for value in list_named_values(current):
            if _is_start(value):
                return True
            found = _functions_of_tests(value)
            pending += [other for other in found if other not in visited]
            visited.update(found)
    return False


def _is_start(value: Any) -> bool:
    is_of_emulator = str(getattr(value, "__module__", "")).startswith("orchestrator.emulator")
    return is_of_emulator and getattr(value, "__name__", "") == "start"


def _functions_of_tests(value: Any) -> list[FunctionType]:
    if not str(getattr(value, "__module__", "")).startswith("tests."):
        return []
    value = getattr(value, "__wrapped__", value)
    members = vars(value).values() if isinstance(value, type) else [value]
    return [member for member in members if isinstance(member, FunctionType)]


@cache
def list_named_values(function: FunctionType) -> tuple[Any, ...]:
    """The values that the names in a function's code stand for: of its module, or of a module named beside them."""
    names = set(_iter_names(function.__code__))
    values = [function.__globals__[name] for name in names if name in function.__globals__]
    modules = [value for value in values if isinstance(value, ModuleType)]
    return (*values, *(vars(module)[name] for module in modules for name in names if name in vars(module)))


def _iter_names(code: CodeType) -> Iterator[str]:
    yield from code.co_names
    for inner in code.co_consts:
        if isinstance(inner, CodeType):
            yield from _iter_names(inner)
