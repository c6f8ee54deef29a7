"""Operations of the API, told once and registered twice: to be served, and to be described.

Only the OpenAPI document needs FastAPI's view of every shape, and building it takes longer than the rest of a start.
What is served reads bodies with msgspec, as the store does, and is not described.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from fastapi import FastAPI

from orchestrator.state.server.api.openapi_schemas import Shapes
from orchestrator.state.server.problem_details import MEDIA, ProblemDetails
from orchestrator.state.server.routing import served

WRONG = (400, 401, 403, 404, 405, 409, 413, 422, 429, 503)
"""Every way in which an operation may refuse."""
Endpoint = TypeVar("Endpoint", bound=Callable[..., Any])


class Operations:
    """The operations of one part of the API; what FastAPI's router has for decorators."""

    def __init__(self, tag: str) -> None:
        self._tag = tag
        self._made: list[tuple[str, str, Any, dict[str, Any]]] = []

    def get(self, path: str, **told: Any) -> Callable[[Endpoint], Endpoint]:
        """Register a function for GET; ``told`` as for a route of FastAPI."""
        return self._registering("GET", path, told)

    def post(self, path: str, **told: Any) -> Callable[[Endpoint], Endpoint]:
        """The same for POST."""
        return self._registering("POST", path, told)

    def put(self, path: str, **told: Any) -> Callable[[Endpoint], Endpoint]:
        """The same for PUT."""
        return self._registering("PUT", path, told)

    def delete(self, path: str, **told: Any) -> Callable[[Endpoint], Endpoint]:
        """The same for DELETE."""
        return self._registering("DELETE", path, told)

    def serve(self, app: FastAPI, prefix: str) -> None:
        """Let ``app`` answer them."""
        for method, path, endpoint, told in self._made:
            plain = {**told, "response_model": None}
            app.add_api_route(prefix + path, served(endpoint), methods=[method], **plain)

    def describe(self, app: FastAPI, prefix: str, shapes: Shapes) -> None:
        """Let the document of ``app`` have them, with what is sent, answered and refused, by ``shapes``."""
        wrong: Any = {status: {"model": ProblemDetails, "content": {MEDIA: {}}} for status in WRONG}
        for method, path, endpoint, told in self._made:
            plain = {name: shapes.stand_in(one) if name == "response_model" else one for name, one in told.items()}
            described = shapes.told(endpoint)
            app.add_api_route(prefix + path, described, methods=[method], tags=[self._tag], responses=wrong, **plain)

    def _registering(self, method: str, path: str, told: dict[str, Any]) -> Callable[[Endpoint], Endpoint]:
        def register(endpoint: Endpoint) -> Endpoint:
            self._made.append((method, path, endpoint, told))
            return endpoint

        return register
