"""The same request again: with its ``Idempotency-Key`` it is carried out once, and answered as the first time."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from fastapi import HTTPException, Request
from sqlalchemy import delete, select, update
from starlette.responses import Response

from orchestrator import canonical_json
from orchestrator.state.server.access import Identity
from orchestrator.state.server.request_context import answered, store_of
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import inserting, writing

REMEMBERED = 24 * 3600.0
"""Seconds for which an answer is kept."""
UNDER_WAY = 60.0
"""Seconds after which a request that was begun and never answered counts as not made: its process has died."""


def once(request: Request, identity: Identity, body: object, make: Callable[[], tuple[int, object]]) -> Response:
    """What ``make`` answers; for a repeated ``Idempotency-Key`` what it answered the first time.

    Raises HTTPException: 422 when the key came with another body before, 409 while the first one is under way.
    """
    key = request.headers.get("idempotency-key", "")
    if not key:
        status, record = make()
        return answered(request, record, status)
    store = store_of(request)
    mark = canonical_json.digest((identity.name, request.method, request.url.path, key.encode().hex()))
    asked = canonical_json.digest(body)
    before = _claim(store, mark, asked)
    if before is not None:
        return _again(before, asked)
    try:
        status, record = make()
    except BaseException:
        _drop(store, mark)
        raise
    _keep(store, mark, status, canonical_json.dump(record).decode())
    return answered(request, record, status)


def _again(row: Any, asked: str) -> Response:
    if row.request != asked:
        raise HTTPException(422, "this Idempotency-Key came with another body before")
    if not row.status:
        raise HTTPException(409, "the same request is under way; ask again", {"Retry-After": "1"})
    return Response(row.body, row.status, media_type="application/json")


def _claim(store: Store, mark: str, asked: str) -> Any:
    """The row of the first such request; None when this is the first, which now stands there without an answer."""
    at = store.clock()
    with writing(store.engine) as connection:
        connection.execute(delete(t.answers).where(t.answers.c.until < at))
        row = inserting(connection, t.answers).values(key=mark, request=asked, status=0, body="", until=at + UNDER_WAY)
        made = connection.execute(row.on_conflict_do_nothing().returning(t.answers.c.key)).first()
        if made is not None:
            return None
        return connection.execute(select(t.answers).where(t.answers.c.key == mark)).one()


def _keep(store: Store, mark: str, status: int, body: str) -> None:
    known = {"status": status, "body": body, "until": store.clock() + REMEMBERED}
    with writing(store.engine) as connection:
        connection.execute(update(t.answers).where(t.answers.c.key == mark).values(**known))


def _drop(store: Store, mark: str) -> None:
    with writing(store.engine) as connection:
        connection.execute(delete(t.answers).where(t.answers.c.key == mark, t.answers.c.status == 0))
