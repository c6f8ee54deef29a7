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

PLACEHOLDER_KEY = "x-shape"
SCHEMA_REF_TEMPLATE = "#/components/schemas/{name}"


class SchemaRegistry:
    """The shapes of one document, in the order in which they were asked for."""

    def __init__(self) -> None:
        self._types: list[Any] = []

    def placeholder(self, record_type: Any) -> Any:
        """What FastAPI is told instead of ``shape``."""
        self._types.append(record_type)
        return Annotated[Any, _SchemaPlaceholder(len(self._types) - 1)]

    def document_endpoint(self, endpoint: Callable[..., Any]) -> Callable[..., Any]:
        """A function with the name, the words and the parameters of ``endpoint``, its body by a stand-in."""

        def documented() -> None:
            """For its signature only; it is never called."""

        signature = inspect.signature(endpoint, eval_str=True)
        parameters = [self._document_parameter(parameter) for parameter in signature.parameters.values()]
        documented.__name__, documented.__doc__ = endpoint.__name__, endpoint.__doc__
        documented.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return documented

    def resolve(self, document: dict[str, Any]) -> dict[str, Any]:
        """``document`` with schemas for the stand-ins."""
        schemas, components = msgspec.json.schema_components(self._types, ref_template=SCHEMA_REF_TEMPLATE)
        resolved: dict[str, Any] = _resolve_placeholders(document, schemas)
        resolved["components"]["schemas"] |= components
        return resolved

    def _document_parameter(self, parameter: inspect.Parameter) -> inspect.Parameter:
        record_type = parameter.annotation
        if not (isinstance(record_type, type) and issubclass(record_type, msgspec.Struct)):
            return parameter
        return parameter.replace(annotation=Annotated[self.placeholder(record_type), Body()])


class _SchemaPlaceholder:
    """Anything to pydantic; a mark in its schema."""

    def __init__(self, index: int) -> None:
        self._index = index

    def __get_pydantic_core_schema__(self, _: Any, __: Any) -> core_schema.CoreSchema:
        return core_schema.any_schema()

    def __get_pydantic_json_schema__(self, _: Any, __: Any) -> dict[str, Any]:
        return {PLACEHOLDER_KEY: self._index}


def _resolve_placeholders(node: Any, schemas: tuple[Any, ...] | list[Any]) -> Any:
    if isinstance(node, dict):
        if PLACEHOLDER_KEY in node:
            return schemas[node[PLACEHOLDER_KEY]]
        return {name: _resolve_placeholders(child, schemas) for name, child in node.items()}
    return [_resolve_placeholders(child, schemas) for child in node] if isinstance(node, list) else node
