"""Define the HTTP API under ``/api/v1``: ``runs`` and leases, ``records`` by environment, ``history``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

if TYPE_CHECKING:
    from orchestrator.state.server.api.operation_router import OperationRouter

API_PREFIX = "/api/v1"


def operation_groups() -> tuple[OperationRouter, ...]:
    """Return all operations, grouped by tag."""
    from orchestrator.state.server.api import environments, history, runs

    return runs.operations, environments.operations, history.operations


def install(app: FastAPI) -> None:
    """Add the API to ``app``; builds the OpenAPI document on first request."""
    for group in operation_groups():
        group.add_routes(app, API_PREFIX)
    documents: list[dict[str, Any]] = []

    def build_openapi() -> dict[str, Any]:
        if not documents:
            from orchestrator.state.server.api.openapi_schemas import SchemaRegistry

            document_app, schemas = FastAPI(title=app.title, version=app.version), SchemaRegistry()
            for group in operation_groups():
                group.add_documented_routes(document_app, API_PREFIX, schemas)
            documents.append(schemas.resolve(document_app.openapi()))
        return documents[0]

    app.openapi = build_openapi  # type: ignore[method-assign]
