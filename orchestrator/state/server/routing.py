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

from orchestrator.redaction.redact import safe


class Route(APIRoute):
    """A route of FastAPI whose endpoint is ``served``."""

    def __init__(self, path: str, endpoint: Callable[..., Any], **told: Any) -> None:
        super().__init__(path, served(endpoint), **told)


def served(endpoint: Callable[..., Any]) -> Callable[..., Any]:
    """``endpoint`` as FastAPI is to call it, without the plain dependencies; ``body`` reaches it as its own type.

    The dependencies are functions of the request.  A coroutine is left as it is.
    """
    if inspect.iscoroutinefunction(endpoint):
        return endpoint
    hints = get_type_hints(endpoint, include_extras=True)
    finding, shape = _plain(hints), hints.get("body")
    asking = next((name for name, hint in hints.items() if hint is Request), "")

    def answering(**given: Any) -> Any:
        request = given[asking] if asking else given.pop("request")
        found = {name: find(request) for name, find in finding.items()}
        if shape is not None:
            found["body"] = read(given["body"], shape)
        return endpoint(**{**given, **found})

    hints["body"] = Annotated[bytes, Depends(sent)]
    known = inspect.signature(endpoint).parameters.values()
    kept = [one.replace(annotation=hints[one.name]) for one in known if one.name not in finding]
    first = [] if asking else [inspect.Parameter("request", inspect.Parameter.POSITIONAL_ONLY, annotation=Request)]
    answering.__signature__ = inspect.Signature([*first, *kept])  # type: ignore[attr-defined]
    answering.__name__ = endpoint.__name__
    return answering


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


def _plain(hints: Mapping[str, Any]) -> dict[str, Callable[[Request], Any]]:
    """The dependencies that are plain functions, by the parameter that takes what they find."""
    found = {
        name: mark.dependency
        for name, hint in hints.items()
        for mark in getattr(hint, "__metadata__", ())
        if isinstance(mark, params.Depends)
    }
    return {name: find for name, find in found.items() if find and not inspect.iscoroutinefunction(find)}
