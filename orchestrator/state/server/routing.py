"""Routes that are answered in one thread: who asks is found out there, and what was sent is read there.

FastAPI sends every plain dependency to a thread of its own choosing, and each time a request changes threads it waits
for a processor.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, get_type_hints

import msgspec
from fastapi import Depends, HTTPException, Request, params
from fastapi.routing import APIRoute

from orchestrator.redaction.redact import sanitise


class SingleThreadRoute(APIRoute):
    """A route of FastAPI whose endpoint is ``served``."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, run_in_one_thread(endpoint), **options)


def run_in_one_thread(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """``endpoint`` as FastAPI is to call it, without the plain dependencies; ``body`` reaches it as its own type.

    The dependencies are functions of the request.  A coroutine is left as it is.
    """
    if inspect.iscoroutinefunction(endpoint):
        return endpoint
    hints = get_type_hints(endpoint, include_extras=True)
    resolvers, body_type = _plain_dependencies(hints), hints.get("body")
    request_parameter = next((name for name, hint in hints.items() if hint is Request), "")

    def call_endpoint(**arguments: Any) -> Any:
        request = arguments[request_parameter] if request_parameter else arguments.pop("request")
        resolved = {name: resolve(request) for name, resolve in resolvers.items()}
        if body_type is not None:
            resolved["body"] = parse_body(arguments["body"], body_type)
        return endpoint(**{**arguments, **resolved})

    hints["body"] = Annotated[bytes, Depends(read_json_body)]
    parameters = inspect.signature(endpoint).parameters.values()
    remaining_parameters = [
        parameter.replace(annotation=hints[parameter.name])
        for parameter in parameters
        if parameter.name not in resolvers
    ]
    request_parameters = (
        []
        if request_parameter
        else [inspect.Parameter("request", inspect.Parameter.POSITIONAL_ONLY, annotation=Request)]
    )
    call_endpoint.__signature__ = inspect.Signature([*request_parameters, *remaining_parameters])  # type: ignore[attr-defined]
    call_endpoint.__name__ = endpoint.__name__
    return call_endpoint


async def read_json_body(request: Request) -> bytes:
    """The body of a request that says that it is JSON.

    Raises HTTPException 422.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (
        media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
    ):
        raise HTTPException(422, "body: send JSON, and say so: Content-Type: application/json")
    return await request.body()


def parse_body(data: bytes, record_type: Any) -> Any:
    """The record of type ``shape`` that was sent.

    Raises HTTPException: 400 when it is no JSON, 422 when it is none of this shape, which names the place.
    """
    if not data:
        raise HTTPException(422, "body: there is none")
    try:
        return msgspec.json.decode(data, type=record_type)
    except msgspec.ValidationError as error:
        message, _, location = str(error).partition(" - at `$")
        raise HTTPException(422, sanitise(f"body{location.rstrip('`')}: {message}")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, sanitise(f"body: {error}")) from None


def _plain_dependencies(hints: Mapping[str, Any]) -> dict[str, Callable[[Request], Any]]:
    """The dependencies that are plain functions, by the parameter that takes what they find."""
    dependencies = {
        name: marker.dependency
        for name, hint in hints.items()
        for marker in getattr(hint, "__metadata__", ())
        if isinstance(marker, params.Depends)
    }
    return {
        name: dependency
        for name, dependency in dependencies.items()
        if dependency and not inspect.iscoroutinefunction(dependency)
    }
