"""What every handler needs of its request: the store, who asks, and an answer in canonical JSON."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import Depends, HTTPException, Request
from starlette.responses import Response

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.state.protocol import timestamps
from orchestrator.state.server.access import Access, Identity
from orchestrator.state.server.store import Store

T = TypeVar("T")


def store_of(request: Request) -> Store:
    """The service's store."""
    store: Store = request.app.state.store
    return store


def identity_of(request: Request) -> Identity:
    """Who asks; looked up once a request."""
    known = request.scope.setdefault("state", {})
    if "identity" not in known:
        access: Access = request.app.state.access
        path = request.url.path
        known["identity"] = access.who(request.method, path, request.headers, request.cookies)
    identity: Identity = known["identity"]
    return identity


def needs(*scopes: str) -> Callable[..., Identity]:
    """A dependency that lets through who may do one of ``scopes``, to the environment that the path names.

    A browser's identity has to prove that its own page asks: ``X-CSRF-Token``, or pages check the form's field.
    """

    def check(request: Request) -> Identity:
        identity = identity_of(request)
        if not identity.scopes:
            raise HTTPException(401, "no valid token and no session", {"WWW-Authenticate": "Bearer"})
        path = request.path_params
        environment = f"{path['project']}/{path['name']}" if "project" in path else ""
        permit(identity, next((one for one in scopes if identity.may(one, environment)), scopes[0]), environment)
        if identity.csrf and request.method not in {"GET", "HEAD"} and request.url.path.startswith("/api/"):
            check_csrf(identity, request.headers.get("x-csrf-token", ""))
        return identity

    return check


def permit(identity: Identity, scope: str, environment: str) -> None:
    """Raises HTTPException 403 when ``identity`` may not do ``scope`` to ``environment``."""
    if not identity.may(scope, environment):
        raise HTTPException(403, f"{identity.name} may not {scope}{f' to {environment}' if environment else ''}")


def check_csrf(identity: Identity, given: str) -> None:
    """Raises HTTPException 403 when a browser's request does not come from a page of ours."""
    import hmac

    if not hmac.compare_digest(identity.csrf.encode(), given.encode("utf-8", "surrogateescape")):
        raise HTTPException(403, "the page's token is missing or old; load the page again")


Keeper = Annotated[Store, Depends(store_of)]
Reader = Annotated[Identity, Depends(needs("read"))]
Proposer = Annotated[Identity, Depends(needs("propose"))]
ReaderOrProposer = Annotated[Identity, Depends(needs("read", "propose"))]
Writer = Annotated[Identity, Depends(needs("write"))]
Operator = Annotated[Identity, Depends(needs("operate"))]


def fit(record: T) -> T:
    """``record``, if it can be kept and read again as it is.

    Raises Problems: a NUL, a number that JSON cannot hold, a time that is none or goes ahead.
    """
    try:
        data = canonical_json.dump(record)
        same = msgspec.json.decode(data, type=type(record))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError, RecursionError):
        raise Problems.one("a value in it is none that JSON can hold") from None
    if b"\\u0000" in data:
        raise Problems.one("a text in it holds a NUL")
    timestamps.check(same, time.time())
    return same


def answered(request: Request, record: object, status: int = 200) -> Response:
    """``record`` as JSON with its ETag; 304 when the asker has it already."""
    if record is None:
        raise HTTPException(404, "there is none of this name here")
    data = canonical_json.dump(record)
    tag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": tag, "Cache-Control": "private, no-cache"}
    held = request.headers.get("if-none-match", "")
    if request.method == "GET" and (tag in held or held.strip() == "*"):
        return Response(status_code=304, headers=headers)
    return Response(data, status, headers, "application/json")
