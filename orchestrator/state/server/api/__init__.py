"""The HTTP API under ``/api/v1``: ``runs`` for those who write, ``records`` for what is kept, ``history``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

if TYPE_CHECKING:
    from orchestrator.state.server.api.operation_router import OperationRouter

API_PREFIX = "/api/v1"


def operation_groups() -> tuple[OperationRouter, ...]:
    """All operations, by part."""
    from orchestrator.state.server.api import environments, history, runs

    return runs.operations, environments.operations, history.operations


def install(app: FastAPI) -> None:
    """Let ``app`` answer them, and describe them to whoever asks for the OpenAPI document."""
    for group in operation_groups():
        group.add_routes(app, API_PREFIX)
    documents: list[dict[str, Any]] = []

    def build_openapi() -> dict[str, Any]:
        if not documents:
            from orchestrator.state.server.api.openapi_schemas import SchemaRegistry

            document_app, shapes = FastAPI(title=app.title, version=app.version), SchemaRegistry()
            for group in operation_groups():
                group.add_documented_routes(document_app, API_PREFIX, shapes)
            documents.append(shapes.resolve(document_app.openapi()))
        return documents[0]

    app.openapi = build_openapi  # type: ignore[method-assign]
