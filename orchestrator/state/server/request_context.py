"""Provide request handlers with the store, the identity, validation and JSON responses."""

from __future__ import annotations

import hashlib
import time
from collections.abc import Callable
from typing import Annotated, TypeVar

import msgspec
from fastapi import Depends, HTTPException, Query, Request
from starlette.responses import Response

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.state.protocol import timestamps
from orchestrator.state.server.access import Authenticator, Identity
from orchestrator.state.server.filters import RunFilter
from orchestrator.state.server.store import Store

T = TypeVar("T")

Limit = Annotated[int, Query(ge=1, le=500)]
QueryText = Annotated[str, Query(max_length=200)]


def get_store(request: Request) -> Store:
    """Return the store of the service."""
    store: Store = request.app.state.store
    return store


def get_identity(request: Request) -> Identity:
    """Return the identity of a request, looked up once."""
    request_state = request.scope.setdefault("state", {})
    if "identity" not in request_state:
        authenticator: Authenticator = request.app.state.authenticator
        path = request.url.path
        request_state["identity"] = authenticator.authenticate(request.method, path, request.headers, request.cookies)
    identity: Identity = request_state["identity"]
    return identity


def require_scopes(*scopes: str) -> Callable[..., Identity]:
    """Return a dependency that requires one of ``scopes`` for the environment in the path.

    A browser must also prove that a page of this service made the request: with ``X-CSRF-Token``, or with a form field
    that the pages check.
    """

    def check_scopes(request: Request) -> Identity:
        identity = get_identity(request)
        if not identity.scopes:
            raise HTTPException(401, "no valid token or session", {"WWW-Authenticate": "Bearer"})
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
    """Raise HTTPException 403 if ``identity`` lacks ``scope`` for ``environment``."""
    if not identity.can(scope, environment):
        raise HTTPException(
            403, f"{identity.name} lacks the scope {scope!r}{f' for {environment}' if environment else ''}"
        )


def check_csrf(identity: Identity, csrf_token: str) -> None:
    """Raise HTTPException 403 if the CSRF token is not that of ``identity``."""
    import hmac

    if not hmac.compare_digest(identity.csrf.encode(), csrf_token.encode("utf-8", "surrogateescape")):
        raise HTTPException(403, "the page's CSRF token is missing or expired; reload the page")


def require_drift_reporter(request: Request) -> Identity:
    """Return the identity of a drift check; a job of code that nobody has merged may not call anything in sync."""
    identity = require_scopes("propose")(request)
    if identity.is_unmerged:
        raise HTTPException(403, f"{identity.actor}: only jobs of the main branch can send drift reports")
    return identity


def require_pull_request_proposer(request: Request) -> Identity:
    """Return the identity of a plan of the pull request in the path: a job of another one may not send it."""
    identity = require_scopes("propose")(request)
    if identity.is_unmerged and request.path_params["number"] != str(identity.pull_request):
        raise HTTPException(
            403, f"{identity.actor}: only jobs of this pull request or of the main branch can send its plan"
        )
    return identity


def require_unlocker(request: Request) -> Identity:
    """Return the identity of an operator, or of a workflow that may write to the environment.

    A workflow acts for a person whom GitHub names, under the rules of its environment.  A token for scripts that may
    write has no business with the runs of others.
    """
    identity = get_identity(request)
    return require_scopes("operate", "write")(request) if identity.person else require_scopes("operate")(request)


async def read_run_filter(
    environment: QueryText = "",
    status: QueryText = "",
    verb: QueryText = "",
    by: QueryText = "",
    commit: QueryText = "",
    since: QueryText = "",
    until: QueryText = "",
) -> RunFilter:
    """Return the filter of runs in the query of a request."""
    return RunFilter(environment, status, verb, by, commit, since, until)


StoreDep = Annotated[Store, Depends(get_store)]
RunFilterQuery = Annotated[RunFilter, Depends(read_run_filter)]
CurrentReader = Annotated[Identity, Depends(require_scopes("read"))]
CurrentProposer = Annotated[Identity, Depends(require_scopes("propose"))]
CurrentDriftReporter = Annotated[Identity, Depends(require_drift_reporter)]
CurrentPullRequestProposer = Annotated[Identity, Depends(require_pull_request_proposer)]
CurrentReaderOrProposer = Annotated[Identity, Depends(require_scopes("read", "propose"))]
CurrentWriter = Annotated[Identity, Depends(require_scopes("write"))]
CurrentUnlocker = Annotated[Identity, Depends(require_unlocker)]
CurrentOperator = Annotated[Identity, Depends(require_scopes("operate"))]


def validate_record(record: T) -> T:
    """Return ``record`` if it can be stored and read back unchanged.

    Raises Problems if it contains a NUL, a value that JSON cannot represent, or an invalid time.
    """
    try:
        data = canonical_json.dump(record)
        decoded = msgspec.json.decode(data, type=type(record))
    except (TypeError, ValueError, OverflowError, msgspec.MsgspecError, RecursionError):
        raise Problems.from_message("the body contains a value that JSON cannot represent") from None
    if b"\\u0000" in data:
        raise Problems.from_message("the body contains a NUL character")
    timestamps.check_times(decoded, time.time())
    return decoded


def json_response(request: Request, record: object, status: int = 200) -> Response:
    """Return ``record`` as JSON with an ETag, or 304 if the client has it already.

    Raises HTTPException 404 if ``record`` is None.
    """
    if record is None:
        raise HTTPException(404, f"nothing found at {request.url.path}")
    data = canonical_json.dump(record)
    etag = f'"{hashlib.sha256(data).hexdigest()[:32]}"'
    headers = {"ETag": etag, "Cache-Control": "private, no-cache"}
    if_none_match = request.headers.get("if-none-match", "")
    if request.method == "GET" and (etag in if_none_match or if_none_match.strip() == "*"):
        return Response(status_code=304, headers=headers)
    return Response(data, status, headers, "application/json")
