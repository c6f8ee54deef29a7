"""Stream a run to browsers as server-sent events that carry rendered HTML.

``board`` replaces the table, ``plan`` the section of the plan, ``line`` appends to the log with the event's number as
its id, ``over`` ends the stream.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from typing import Annotated, Any

from fastapi import APIRouter, HTTPException, Query, Request
from starlette.responses import Response, StreamingResponse

from orchestrator.state.protocol.records import Run
from orchestrator.state.server.pages.rendering import render_shared
from orchestrator.state.server.pages.run_feed import RunFeeds
from orchestrator.state.server.pages.runs import RunId, load_run
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute
from orchestrator.state.server.store import Store

KEEPALIVE_SECONDS = 10.0
"""Seconds without an event after which a comment is sent, so that no proxy closes an idle stream."""
MAX_STREAM_SECONDS = 300.0
"""Seconds after which the stream ends and the browser reconnects, so that no abandoned stream lives forever."""
MESSAGES_PER_CHUNK = 50
"""Messages that are sent in one piece: a browser that reads slowly is waited for, and keeps no more in memory."""
MAX_STREAMS = 400
"""Streams of one process at once; a further browser gets 503 and comes again."""
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


async def stream_events(request: Request, store: Store, run: Run, after_sequence: int) -> AsyncIterator[str]:
    """Yield messages until the run ends, the browser disconnects, or MAX_STREAM_SECONDS have passed."""
    feeds: RunFeeds = request.app.state.run_feeds
    settings = request.app.state.settings

    def render(template: str, **values: Any) -> str:
        return render_shared(settings, store.clock(), template, **values)

    feed = feeds.join(store, run, render)
    deadline, version = time.monotonic() + MAX_STREAM_SECONDS, 0
    try:
        yield "retry: 1000\n\n"
        while time.monotonic() < deadline and not feed.has_failed and not await request.is_disconnected():
            changed_event = feed.changed_event
            if feed.version:
                messages, after_sequence = feed.messages_after(after_sequence, version)
                version = feed.version
                for first in range(0, len(messages), MESSAGES_PER_CHUNK):
                    yield "".join(messages[first : first + MESSAGES_PER_CHUNK])
                if feed.is_over:
                    return
            try:
                await asyncio.wait_for(changed_event.wait(), KEEPALIVE_SECONDS)
            except TimeoutError:
                yield ": keepalive\n\n"
    finally:
        feeds.leave(run.id, feed)


def create_router() -> APIRouter:
    """Return the route of the stream; a browser that reconnects sends its position in ``Last-Event-ID``."""
    routes = APIRouter(include_in_schema=False, route_class=SingleThreadRoute)

    @routes.get("/runs/{run}/live")
    def stream_run(
        request: Request,
        store: StoreDep,
        _: CurrentReader,
        run: RunId,
        after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0,
    ) -> Response:
        if request.app.state.run_feeds.viewer_count >= MAX_STREAMS:
            raise HTTPException(503, "too many browsers are watching runs; try again later", {"Retry-After": "10"})
        watched_run, _plan = load_run(store, run)
        last_event_id = request.headers.get("last-event-id", "")
        last_sent = max(after, int(last_event_id)) if last_event_id.isdecimal() and len(last_event_id) < 10 else after
        return StreamingResponse(
            stream_events(request, store, watched_run, last_sent),
            headers=STREAM_HEADERS,
            media_type="text/event-stream",
        )

    return routes
