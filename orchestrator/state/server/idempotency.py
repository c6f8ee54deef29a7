"""The same request again: with its ``Idempotency-Key`` it is carried out once, and answered as the first time."""

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
"""Seconds for which an answer is kept."""
PENDING_TTL_SECONDS = 60.0
"""Seconds after which a request that was begun and never answered counts as not made: its process has died."""


def respond_once(
    request: Request, identity: Identity, body: object, handler: Callable[[], tuple[int, object]]
) -> Response:
    """What ``make`` answers; for a repeated ``Idempotency-Key`` what it answered the first time.

    Raises HTTPException: 422 when the key came with another body before, 409 while the first one is under way.
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
        raise HTTPException(422, "this Idempotency-Key came with another body before")
    if not row.status:
        raise HTTPException(409, "the same request is under way; ask again", {"Retry-After": "1"})
    return Response(row.body, row.status, media_type="application/json")


def _claim_key(store: Store, request_key: str, body_digest: str) -> Any:
    """The row of the first such request; None when this is the first, which now stands there without an answer."""
    now = store.clock()
    with write_transaction(store.engine) as connection:
        connection.execute(delete(t.answers).where(t.answers.c.until < now))
        claim = dialect_insert(connection, t.answers).values(
            key=request_key, request=body_digest, status=0, body="", until=now + PENDING_TTL_SECONDS
        )
        inserted = connection.execute(claim.on_conflict_do_nothing().returning(t.answers.c.key)).first()
        if inserted is not None:
            return None
        return connection.execute(select(t.answers).where(t.answers.c.key == request_key)).one()


def _save_response(store: Store, request_key: str, status: int, body: str) -> None:
    columns = {"status": status, "body": body, "until": store.clock() + RESPONSE_TTL_SECONDS}
    with write_transaction(store.engine) as connection:
        connection.execute(update(t.answers).where(t.answers.c.key == request_key).values(**columns))


def _release_key(store: Store, request_key: str) -> None:
    with write_transaction(store.engine) as connection:
        connection.execute(delete(t.answers).where(t.answers.c.key == request_key, t.answers.c.status == 0))
