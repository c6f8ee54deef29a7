"""The history, its export, and the trade of a workflow's token."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Annotated

from fastapi import HTTPException, Query, Request
from msgspec import Struct
from starlette.responses import Response, StreamingResponse

from orchestrator.state.protocol.records import AuditEntry, Page
from orchestrator.state.server import export_import, oidc
from orchestrator.state.server.api.operation_router import Operations
from orchestrator.state.server.filters import HistoryFilter
from orchestrator.state.server.request_context import Keeper, Reader, answered, store_of

operations = Operations("history")
Word = Annotated[str, Query(max_length=200)]


class Traded(Struct, frozen=True):
    """A token of this service; it is shown this once."""

    token: str
    seconds: float


@operations.get("/history", response_model=Page[AuditEntry])
def history(  # noqa: PLR0913 - its filters
    request: Request,
    store: Keeper,
    _: Reader,
    environment: Word = "",
    deed: Word = "",
    by: Word = "",
    since: Word = "",
    until: Word = "",
    cursor: Word = "",
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
) -> Response:
    """The newest first."""
    return answered(request, store.history(HistoryFilter(environment, deed, by, since, until), cursor, limit))


@operations.get("/history/export", response_class=StreamingResponse)
def export(store: Keeper, _: Reader) -> Response:
    """All of it, as JSON lines."""

    def lines() -> Iterator[bytes]:
        yield from export_import.export(store)

    return StreamingResponse(lines(), media_type="application/x-ndjson")


@operations.post("/token", response_model=Traded)
def token(request: Request) -> Response:
    """Trade a GitHub Actions OIDC token, once, for a token of this service."""
    kind, _, word = request.headers.get("authorization", "").partition(" ")
    settings = request.app.state.settings
    if kind.lower() != "bearer" or not word:
        raise HTTPException(401, "bring a workflow's OIDC token", {"WWW-Authenticate": "Bearer"})
    from orchestrator.problems import Problems

    try:
        ours = oidc.trade(store_of(request), settings, request.app.state.keys, word)
    except oidc.NoKeysError as away:
        raise HTTPException(503, str(away), {"Retry-After": "5"}) from None
    except Problems as refused:
        headers = {"WWW-Authenticate": "Bearer"}
        raise HTTPException(401, refused.problems[0].message, headers) from None
    return answered(request, Traded(ours, oidc.LASTS))
