"""Register API operations once, for serving and for the OpenAPI document.

Only the document needs FastAPI's models of every record, and building them takes longer than the rest of a start.
Served routes parse bodies with msgspec and have no description.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI

from orchestrator.state.server.api.openapi_schemas import SchemaRegistry
from orchestrator.state.server.problem_details import MEDIA_TYPE, ProblemDetails
from orchestrator.state.server.routing import ThreadGroup, run_in_one_thread

ERROR_STATUSES = (400, 401, 403, 404, 405, 409, 413, 422, 429, 503)
"""The error statuses of every operation."""
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class OperationRouter:
    """The operations of one tag, with the decorators of FastAPI's router."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._registrations: list[tuple[str, str, Any, dict[str, Any]]] = []

    def get(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a function for GET; ``options`` as for a FastAPI route, and ``thread_group``."""
        return self._register("GET", path, options)

    def post(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a function for POST; ``options`` as for a FastAPI route, and ``thread_group``."""
        return self._register("POST", path, options)

    def put(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a function for PUT; ``options`` as for a FastAPI route."""
        return self._register("PUT", path, options)

    def delete(self, path: str, **options: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a function for DELETE; ``options`` as for a FastAPI route."""
        return self._register("DELETE", path, options)

    def add_routes(self, app: FastAPI, prefix: str) -> None:
        """Add the operations to ``app`` for serving."""
        for method, path, endpoint, options in self._registrations:
            route_options = {**options, "response_model": None}
            thread_group: ThreadGroup = route_options.pop("thread_group", "")
            route_endpoint = run_in_one_thread(endpoint, thread_group)
            app.add_api_route(prefix + path, route_endpoint, methods=[method], **route_options)

    def add_documented_routes(self, app: FastAPI, prefix: str, schemas: SchemaRegistry) -> None:
        """Add the operations to ``app`` for its OpenAPI document, with bodies, responses and errors."""
        error_responses: Any = {
            status: {"model": ProblemDetails, "content": {MEDIA_TYPE: {}}} for status in ERROR_STATUSES
        }
        for method, path, endpoint, options in self._registrations:
            route_options = {
                name: schemas.placeholder(option) if name == "response_model" else option
                for name, option in options.items()
                if name != "thread_group"
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
