"""The shapes of bodies and answers in the OpenAPI document: msgspec's, which reads and writes them, not pydantic's.

FastAPI asks pydantic for every schema.  For a shape it is given a stand-in, which the finished document gives back for
what msgspec says of that shape.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any

import msgspec
from fastapi import Body
from pydantic_core import core_schema

MARK = "x-shape"
WHERE = "#/components/schemas/{name}"


class Shapes:
    """The shapes of one document, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._known: list[Any] = []

    def stand_in(self, shape: Any) -> Any:
        """What FastAPI is told instead of ``shape``."""
        self._known.append(shape)
        return Annotated[Any, _StandIn(len(self._known) - 1)]

    def told(self, endpoint: Callable[..., Any]) -> Callable[..., Any]:
        """A function with the name, the words and the parameters of ``endpoint``, its body by a stand-in."""

        def described() -> None:
            """For its signature only; it is never called."""

        signature = inspect.signature(endpoint, eval_str=True)
        parameters = [self._parameter(one) for one in signature.parameters.values()]
        described.__name__, described.__doc__ = endpoint.__name__, endpoint.__doc__
        described.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return described

    def settle(self, document: dict[str, Any]) -> dict[str, Any]:
        """``document`` with schemas for the stand-ins."""
        schemas, components = msgspec.json.schema_components(self._known, ref_template=WHERE)
        settled: dict[str, Any] = _settled(document, schemas)
        settled["components"]["schemas"] |= components
        return settled

    def _parameter(self, parameter: inspect.Parameter) -> inspect.Parameter:
        shape = parameter.annotation
        if not (isinstance(shape, type) and issubclass(shape, msgspec.Struct)):
            return parameter
        return parameter.replace(annotation=Annotated[self.stand_in(shape), Body()])


class _StandIn:
    """Anything to pydantic; a mark in its schema."""

    def __init__(self, number: int) -> None:
        self._number = number

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> core_schema.CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, _: Any, __: Any) -> dict[str, Any]:
        return {MARK: self._number}


def _settled(part: Any, schemas: tuple[Any, ...] | list[Any]) -> Any:
    if isinstance(part, dict):
        if MARK in part:
            return schemas[part[MARK]]
        return {name: _settled(one, schemas) for name, one in part.items()}
    return [_settled(one, schemas) for one in part] if isinstance(part, list) else part
