"""Serve the audit log, its export, and the exchange of workflow tokens."""

from __future__ import annotations

from collections.abc import Iterator

from fastapi import HTTPException, Request
from msgspec import Struct
from starlette.responses import Response, StreamingResponse

from orchestrator.state.protocol.records import AuditEntry, Page
from orchestrator.state.server import export_import, oidc
from orchestrator.state.server.api.operation_router import OperationRouter
from orchestrator.state.server.filters import HistoryFilter
from orchestrator.state.server.request_context import (
    CurrentReader,
    Limit,
    QueryText,
    StoreDep,
    get_store,
    json_response,
)

operations = OperationRouter("history")


class TokenResponse(Struct, frozen=True):
    """A token of this service and its lifetime in seconds."""

    token: str
    seconds: float


@operations.get("/history", response_model=Page[AuditEntry])
def list_history(  # noqa: PLR0913 - its filters
    request: Request,
    store: StoreDep,
    _: CurrentReader,
    environment: QueryText = "",
    deed: QueryText = "",
    by: QueryText = "",
    since: QueryText = "",
    until: QueryText = "",
    cursor: QueryText = "",
    limit: Limit = 50,
) -> Response:
    """List audit log entries, newest first."""
    return json_response(request, store.list_history(HistoryFilter(environment, deed, by, since, until), cursor, limit))


@operations.get("/history/export", response_class=StreamingResponse)
def export_history(store: StoreDep, _: CurrentReader) -> Response:
    """Export the whole history as JSON lines."""

    def iter_lines() -> Iterator[bytes]:
        yield from export_import.export_history(store)

    return StreamingResponse(iter_lines(), media_type="application/x-ndjson")


@operations.post("/token", response_model=TokenResponse, thread_group="external")
def exchange_token(request: Request) -> Response:
    """Exchange a GitHub Actions OIDC token for a token of this service. Each OIDC token can be used once."""
    auth_scheme, _, oidc_token = request.headers.get("authorization", "").partition(" ")
    settings = request.app.state.settings
    if auth_scheme.lower() != "bearer" or not oidc_token:
        raise HTTPException(401, "no OIDC token: send `Authorization: Bearer TOKEN`", {"WWW-Authenticate": "Bearer"})
    from orchestrator.problems import Problems

    try:
        service_token = oidc.exchange_token(get_store(request), settings, request.app.state.jwks, oidc_token)
    except oidc.JwksUnavailableError as error:
        raise HTTPException(503, str(error), {"Retry-After": "5"}) from None
    except Problems as problems:
        headers = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(401, problems.problems[0].message, headers) from None
    return json_response(request, TokenResponse(service_token, oidc.TOKEN_TTL_SECONDS))
