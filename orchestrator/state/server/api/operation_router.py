"""Operations of the API, told once and registered twice: to be served, and to be described.

Only the OpenAPI document needs FastAPI's view of every shape, and building it takes longer than the rest of a start.
What is served reads bodies with msgspec, as the store does, and is not described.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI

from orchestrator.state.server.api.openapi_schemas import SchemaRegistry
from orchestrator.state.server.problem_details import MEDIA_TYPE, ProblemDetails
from orchestrator.state.server.routing import run_in_one_thread

ERROR_STATUSES = (400, 401, 403, 404, 405, 409, 413, 422, 429, 503)
"""Every way in which an operation may refuse."""
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class OperationRouter:
    """The operations of one part of the API; what FastAPI's router has for decorators."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._registrations: list[tuple[str, str, Any, dict[str, Any]]] = []

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a function for GET; ``told`` as for a route of FastAPI."""
        return self._register("GET", path, options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """The same for POST."""
        return self._register("POST", path, options)

    def put(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """The same for PUT."""
        return self._register("PUT", path, options)

    def delete(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """The same for DELETE."""
        return self._register("DELETE", path, options)

    def add_routes(self, app: FastAPI, prefix: str) -> None:
        """Let ``app`` answer them."""
        for method, path, endpoint, options in self._registrations:
            route_options = {**options, "response_model": None}
            app.add_api_route(prefix + path, run_in_one_thread(endpoint), methods=[method], **route_options)

    def add_documented_routes(self, app: FastAPI, prefix: str, schemas: SchemaRegistry) -> None:
        """Let the document of ``app`` have them, with what is sent, answered and refused, by ``shapes``."""
        error_responses: Any = {
            status: {"model": ProblemDetails, "content": {MEDIA_TYPE: {}}} for status in ERROR_STATUSES
        }
        for method, path, endpoint, options in self._registrations:
            route_options = {
                name: schemas.placeholder(option) if name == "response_model" else option
                for name, option in options.items()
            }
            documented_endpoint = schemas.document_endpoint(endpoint)
            app.add_api_route(
                prefix + path,
                documented_endpoint,
                methods=[method],
                tags=[self._tag],
                responses=error_responses,
                **route_options,
            )

    def _register(self, method: str, path: str, options: dict[str, Any]) -> Callable[[Endpoint], Endpoint]:
        def decorator(endpoint: Endpoint) -> Endpoint:
            self._registrations.append((method, path, endpoint, options))
            return endpoint

        return decorator
