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
from orchestrator.state.server.access import Authenticator, Identity
from orchestrator.state.server.store import Store

T = TypeVar("T")


def get_store(request: Request) -> Store:
    """The service's store."""
    store: Store = request.app.state.store
    return store


def get_identity(request: Request) -> Identity:
    """Who asks; looked up once a request."""
    request_state = request.scope.setdefault("state", {})
    if "identity" not in request_state:
        access: Authenticator = request.app.state.access
        path = request.url.path
        request_state["identity"] = access.authenticate(request.method, path, request.headers, request.cookies)
    identity: Identity = request_state["identity"]
    return identity


def require_scopes(*scopes: str) -> Callable[..., Identity]:
    """A dependency that lets through who may do one of ``scopes``, to the environment that the path names.

    A browser's identity has to prove that its own page asks: ``X-CSRF-Token``, or pages check the form's field.
    """

    def check_scopes(request: Request) -> Identity:
        identity = get_identity(request)
        if not identity.scopes:
            raise HTTPException(401, "no valid token and no session", {"WWW-Authenticate": "Bearer"})
        path_params = request.path_params
        environment = f"{path_params['project']}/{path_params['name']}" if "project" in path_params else ""
        check_permission(
            identity, next((scope for scope in scopes if identity.can(scope, environment)), scopes[0]), environment
        )
        if identity.csrf and request.method not in {"GET", "HEAD"} and request.url.path.startswith("/api/"):
            check_csrf(identity, request.headers.get("x-csrf-token", ""))
        return identity

    return check_scopes


def check_permission(identity: Identity, scope: str, environment: str) -> None:
    """Raises HTTPException 403 when ``identity`` may not do ``scope`` to ``environment``."""
    if not identity.can(scope, environment):
        raise HTTPException(403, f"{identity.name} may not {scope}{f' to {environment}' if environment else ''}")


def check_csrf(identity: Identity, csrf_token: str) -> None:
    """Raises HTTPException 403 when a browser's request does not come from a page of ours."""
    import hmac

    if not hmac.compare_digest(identity.csrf.encode(), csrf_token.encode("utf-8", "surrogateescape")):
        raise HTTPException(403, "the page's token is missing or old; load the page again")


StoreDep = Annotated[Store, Depends(get_store)]
CurrentReader = Annotated[Identity, Depends(require_scopes("read"))]
CurrentProposer = Annotated[Identity, Depends(require_scopes("propose"))]
CurrentReaderOrProposer = Annotated[Identity, Depends(require_scopes("read", "propose"))]
CurrentWriter = Annotated[Identity, Depends(require_scopes("write"))]
CurrentOperator = Annotated[Identity, Depends(require_scopes("operate"))]


def validate_record(record: T) -> T:
    """``record``, if it can be kept and read again as it is.

    Raises Problems: a NUL, a number that JSON cannot hold, a time that is none or goes ahead.
    """
    try:
        data = canonical_json.dump(record)
        decoded = msgspec.json.decode(data, type=type(record))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError, RecursionError):
        raise Problems.from_message("a value in it is none that JSON can hold") from None
    if b"\\u0000" in data:
        raise Problems.from_message("a text in it holds a NUL")
    timestamps.check_times(decoded, time.time())
    return decoded


def json_response(request: Request, record: object, status: int = 200) -> Response:
    """``record`` as JSON with its ETag; 304 when the asker has it already."""
    if record is None:
        raise HTTPException(404, "there is none of this name here")
    data = canonical_json.dump(record)
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if_none_match = request.headers.get("if-none-match", "")
    if request.method == "GET" and (etag in if_none_match or if_none_match.strip() == "*"):
        return Response(status_code=304, headers=headers)
    return Response(data, status, headers, "application/json")
