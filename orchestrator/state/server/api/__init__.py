"""The HTTP API under ``/api/v1``: ``runs`` for those who write, ``records`` for what is kept, ``history``."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from fastapi import FastAPI

if TYPE_CHECKING:
    from orchestrator.state.server.api.operation_router import Operations

PREFIX = "/api/v1"


def parts() -> tuple[Operations, ...]:
    """All operations, by part."""
    from orchestrator.state.server.api import environments, history, runs

    return runs.operations, environments.operations, history.operations


def serve(app: FastAPI) -> None:
    """Let ``app`` answer them, and describe them to whoever asks for the OpenAPI document."""
    for part in parts():
        part.serve(app, PREFIX)
    made: list[dict[str, Any]] = []

    def openapi() -> dict[str, Any]:
        if not made:
            from orchestrator.state.server.api.openapi_schemas import Shapes

            described, shapes = FastAPI(title=app.title, version=app.version), Shapes()
            for part in parts():
                part.describe(described, PREFIX, shapes)
            made.append(shapes.settle(described.openapi()))
        return made[0]

    app.openapi = openapi  # type: ignore[method-assign]
