"""Operations of the API, told once and registered twice: to be served, and to be described.

Only the OpenAPI document needs pydantic's view of every shape, and building it takes longer than the rest of a start.
What is served reads bodies with msgspec, as the store does, and is not described.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable
from typing import Annotated, Any, TypeVar, get_type_hints

import msgspec
from fastapi import Depends, FastAPI, HTTPException, Request

from orchestrator.redaction import safe
from orchestrator.state.problem import MEDIA, ProblemDetails

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
            app.add_api_route(prefix + path, _reading(endpoint), methods=[method], **plain)

    def describe(self, app: FastAPI, prefix: str) -> None:
        """Let the document of ``app`` have them, with what is sent, answered and refused."""
        wrong: Any = {status: {"model": ProblemDetails, "content": {MEDIA: {}}} for status in WRONG}
        for method, path, endpoint, told in self._made:
            app.add_api_route(prefix + path, endpoint, methods=[method], tags=[self._tag], responses=wrong, **told)

    def _registering(self, method: str, path: str, told: dict[str, Any]) -> Callable[[Endpoint], Endpoint]:
        def register(endpoint: Endpoint) -> Endpoint:
            self._made.append((method, path, endpoint, told))
            return endpoint

        return register


async def sent(request: Request) -> bytes:
    """The body of a request that says that it is JSON.

    Raises HTTPException 422.
    """
    kind = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (kind == "application/json" or (kind.startswith("application/") and kind.endswith("+json"))):
        raise HTTPException(422, "body: send JSON, and say so: Content-Type: application/json")
    return await request.body()


def read(data: bytes, shape: Any) -> Any:
    """The record of type ``shape`` that was sent.

    Raises HTTPException: 400 when it is no JSON, 422 when it is none of this shape, which names the place.
    """
    if not data:
        raise HTTPException(422, "body: there is none")
    try:
        return msgspec.json.decode(data, type=shape)
    except msgspec.ValidationError as error:
        complaint, _, place = str(error).partition(" - at `$")
        raise HTTPException(422, safe(f"body{place.rstrip('`')}: {complaint}")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, safe(f"body: {error}")) from None


def _reading(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """``endpoint``, handed what was sent instead of a record; it is read in the thread that answers."""
    hints = get_type_hints(endpoint, include_extras=True)
    shape = hints.get("body")
    if shape is None:
        return endpoint

    def reading(**given: Any) -> Any:
        return endpoint(**{**given, "body": read(given["body"], shape)})

    hints["body"] = Annotated[bytes, Depends(sent)]
    known = inspect.signature(endpoint)
    parameters = [one.replace(annotation=hints[one.name]) for one in known.parameters.values()]
    reading.__signature__ = known.replace(parameters=parameters)  # type: ignore[attr-defined]
    reading.__name__ = endpoint.__name__
    return reading
