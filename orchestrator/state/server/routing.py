"""Run the dependencies and the endpoint of a route in one thread.

FastAPI runs every plain dependency in its own worker thread, and each switch of threads costs a request time.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Mapping
from typing import Annotated, Any, Literal, get_type_hints

import msgspec
from anyio import to_thread
from fastapi import Depends, HTTPException, Request, params
from fastapi.routing import APIRoute

from orchestrator.redaction.redact import sanitise

ThreadGroup = Literal["", "leases", "probes", "external"]
THREADS_BY_GROUP: Mapping[str, int] = {"leases": 4, "probes": 1, "external": 3}
"""Threads that nothing else may occupy: for leases and their renewals, for probes, and for requests that wait for other
services."""


class SingleThreadRoute(APIRoute):
    """A FastAPI route that runs its endpoint with ``run_in_one_thread``."""

    thread_group: ThreadGroup = ""

    def __init__(self, path: str, endpoint: Callable[..., Any], **options: Any) -> None:
        super().__init__(path, run_in_one_thread(endpoint, self.thread_group), **options)


class ExternalCallRoute(SingleThreadRoute):
    """A route whose endpoint waits for another service."""

    thread_group: ThreadGroup = "external"


def run_in_one_thread(endpoint: Callable[..., Any], thread_group: ThreadGroup = "") -> Callable[..., Any]:
    """Return ``endpoint`` as a coroutine that resolves its own plain dependencies and parses its ``body``.

    It runs in one thread of ``thread_group``.  The dependencies are functions of the request.  Returns a coroutine
    function unchanged.
    """
    if inspect.iscoroutinefunction(endpoint):
        return endpoint
    hints = get_type_hints(endpoint, include_extras=True)
    resolvers, body_type = _plain_dependencies(hints), hints.get("body")
    request_parameter = next((name for name, hint in hints.items() if hint is Request), "")

    def call(request: Request, arguments: dict[str, Any]) -> Any:
        resolved = {name: resolve(request) for name, resolve in resolvers.items()}
        if body_type is not None:
            resolved["body"] = parse_body(arguments["body"], body_type)
        return endpoint(**{**arguments, **resolved})

    async def call_endpoint(**arguments: Any) -> Any:
        request = arguments[request_parameter] if request_parameter else arguments.pop("request")
        limiter = request.app.state.thread_limiters[thread_group] if thread_group else None
        return await to_thread.run_sync(call, request, arguments, limiter=limiter)

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
    """Return the body of a request.

    Raises HTTPException 422 if its content type is not JSON.
    """
    media_type = request.headers.get("content-type", "").partition(";")[0].strip().lower()
    if not (
        media_type == "application/json" or (media_type.startswith("application/") and media_type.endswith("+json"))
    ):
        raise HTTPException(422, "body: not JSON; send JSON with Content-Type: application/json")
    return await request.body()


def parse_body(data: bytes, record_type: Any) -> Any:
    """Parse a JSON body as a record.

    Raises HTTPException 400 if it is not JSON, 422 with the location if it does not match the type.
    """
    if not data:
        raise HTTPException(422, "body: missing")
    try:
        return msgspec.json.decode(data, type=record_type)
    except msgspec.ValidationError as error:
        message, _, location = str(error).partition(" - at `$")
        raise HTTPException(422, sanitise(f"body{location.rstrip('`')}: {message}")) from None
    except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as error:
        raise HTTPException(400, sanitise(f"body: {error}")) from None


def _plain_dependencies(hints: Mapping[str, Any]) -> dict[str, Callable[[Request], Any]]:
    """Return the dependencies that are plain functions, by parameter name."""
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
