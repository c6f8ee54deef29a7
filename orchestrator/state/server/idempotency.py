"""Execute a request with an ``Idempotency-Key`` once and replay its response when it is repeated."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import HTTPException, Request
from sqlalchemy import delete, select, update
from starlette.responses import Response

from orchestrator import canonical_json
from orchestrator.state.server.access import Identity
from orchestrator.state.server.request_context import get_store, json_response
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import dialect_insert, write_transaction

RESPONSE_TTL_SECONDS = 24 * 3600.0
"""Seconds for which a response is stored."""
PENDING_TTL_SECONDS = 60.0
"""Seconds after which a request without a response counts as not made, because its process has died."""


def respond_once(
    request: Request, identity: Identity, body: object, handler: Callable[[], tuple[int, object]]
) -> Response:
    """Return the response of ``handler``; for a repeated ``Idempotency-Key`` its stored response.

    Raises HTTPException 422 if the key was used with a different body, 409 while the first request is in progress.
    """
    key = request.headers.get("idempotency-key", "")
    if not key:
        status, record = handler()
        return json_response(request, record, status)
    store = get_store(request)
    request_key = canonical_json.digest((identity.name, request.method, request.url.path, key.encode().hex()))
    body_digest = canonical_json.digest(body)
    stored = _claim_key(store, request_key, body_digest)
    if stored is not None:
        return _replay(stored, body_digest)
    try:
        status, record = handler()
    except BaseException:
        _release_key(store, request_key)
        raise
    _save_response(store, request_key, status, canonical_json.dump(record).decode())
    return json_response(request, record, status)


def _replay(row: Any, body_digest: str) -> Response:
    if row.request != body_digest:
        raise HTTPException(422, "this Idempotency-Key was already used with a different body")
    if not row.status:
        raise HTTPException(409, "the same request is still in progress; try again", {"Retry-After": "1"})
    return Response(row.body, row.status, media_type="application/json")


def _claim_key(store: Store, request_key: str, body_digest: str) -> Any:
    """Return the row of an earlier request with this key; None if this is the first, which then owns the key."""
    now = store.clock()
    with write_transaction(store.engine) as connection:
        connection.execute(delete(t.stored_responses).where(t.stored_responses.c.until < now))
        claim = dialect_insert(connection, t.stored_responses).values(
            key=request_key, request=body_digest, status=0, body="", until=now + PENDING_TTL_SECONDS
        )
        inserted = connection.execute(claim.on_conflict_do_nothing().returning(t.stored_responses.c.key)).first()
        if inserted is not None:
            return None
        return connection.execute(select(t.stored_responses).where(t.stored_responses.c.key == request_key)).one()


def _save_response(store: Store, request_key: str, status: int, body: str) -> None:
    columns = {"status": status, "body": body, "until": store.clock() + RESPONSE_TTL_SECONDS}
    with write_transaction(store.engine) as connection:
        connection.execute(update(t.stored_responses).where(t.stored_responses.c.key == request_key).values(**columns))


def _release_key(store: Store, request_key: str) -> None:
    with write_transaction(store.engine) as connection:
        connection.execute(
            delete(t.stored_responses).where(t.stored_responses.c.key == request_key, t.stored_responses.c.status == 0)
        )
