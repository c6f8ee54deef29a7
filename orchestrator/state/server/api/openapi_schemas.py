"""Describe requests and responses in the OpenAPI document with msgspec schemas instead of pydantic's.

FastAPI asks pydantic for every schema.  Records are registered as placeholders, which are replaced by msgspec schemas
in the finished document.
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
    """The record types of one document, in order of registration."""

    def __init__(self) -> None:
        self._types: list[Any] = []

    def placeholder(self, record_type: Any) -> Any:
        """Return the type that stands for ``record_type`` in FastAPI signatures."""
        self._types.append(record_type)
        return Annotated[Any, _SchemaPlaceholder(len(self._types) - 1)]

    def document_endpoint(self, endpoint: Callable[..., Any]) -> Callable[..., Any]:
        """Return a function with the name, docstring and parameters of ``endpoint``, its body a placeholder."""

        def documented() -> None:
            """Provide a signature; never called."""

        signature = inspect.signature(endpoint, eval_str=True)
        parameters = [self._document_parameter(parameter) for parameter in signature.parameters.values()]
        documented.__name__, documented.__doc__ = endpoint.__name__, endpoint.__doc__
        documented.__signature__ = signature.replace(parameters=parameters)  # type: ignore[attr-defined]
        return documented

    def resolve(self, document: dict[str, Any]) -> dict[str, Any]:
        """Return the document with the placeholders replaced by schemas."""
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
    """Accepts any value in pydantic; its schema contains the index of the record type."""

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
