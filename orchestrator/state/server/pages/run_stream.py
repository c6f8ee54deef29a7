"""Stream a run to browsers as server-sent events that carry rendered HTML.

``board`` replaces the table, ``line`` appends to the log with the event's number as its id, ``over`` ends the stream.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, HTTPException, Query, Request
from msgspec.structs import replace
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from orchestrator.state.protocol.records import PlanRecord, Run, StepEvent
from orchestrator.state.server.pages.rendering import render_fragment
from orchestrator.state.server.pages.resource_table import ResourceTable, build_resource_table, format_log_line
from orchestrator.state.server.pages.runs import RunId, RunView, elapsed_seconds, load_run
from orchestrator.state.server.request_context import CurrentReader, StoreDep
from orchestrator.state.server.routing import SingleThreadRoute
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.run_events import iter_events

POLL_INTERVAL_SECONDS = 0.5
"""Seconds between two polls of the store; many browsers may watch at once."""
POLLS_PER_KEEPALIVE = 20
"""Polls without an event after which a comment is sent, so that no proxy closes an idle stream."""
MAX_POLLS = 600
"""Polls after which the stream ends and the browser reconnects, so that no abandoned stream lives forever."""
MAX_LINES = 2000
"""Log lines that are sent at once; a browser that comes late to a long run gets the last ones."""
MAX_STREAMS = 50
"""Streams of one process at once; a further browser gets 503 and comes again."""
STREAM_HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class RunWatcher:
    """The stream of one run to one browser."""

    def __init__(self, request: Request, store: Store, run: Run, plan: PlanRecord | None, after_sequence: int) -> None:
        self._request, self._store = request, store
        self._run, self._plan, self._last_sent = run, plan, after_sequence
        self._table: ResourceTable | None = None

    def poll(self) -> list[str]:
        """Return the new messages; the last is ``over`` if the run has ended."""
        self._run = self._store.get_run(self._run.id) or self._run
        if self._table is None:
            running = replace(self._run, status="running", outcomes=())
            self._table = build_resource_table(running, self._plan.plan if self._plan else None, ())
        new_events: deque[StepEvent] = deque(maxlen=MAX_LINES)
        for event in iter_events(self._store, self._run.id, self._table.last_sequence):
            self._table.apply_event(event)
            if event.sequence > self._last_sent:
                new_events.append(event)
        messages = [
            format_event("line", self._render_line(format_log_line(event)), event.sequence) for event in new_events
        ]
        self._last_sent = max([self._last_sent, *(event.sequence for event in new_events)])
        if new_events or self._run.is_over:
            messages.append(format_event("board", self._render_table(), self._last_sent))
        return [*messages, format_event("over", self._run.status, self._last_sent)] if self._run.is_over else messages

    def _render_line(self, log_line: object) -> str:
        return render_fragment(self._request, "line.html", line=log_line)

    def _render_table(self) -> str:
        table = build_resource_table(self._run, None, ()) if self._table is None else self._table
        if self._run.is_over:
            table = build_resource_table(
                self._run, self._plan.plan if self._plan else None, iter_events(self._store, self._run.id)
            )
        view = RunView(self._run, table, (), self._last_sent, 0, elapsed_seconds(self._store, self._run), "")
        return render_fragment(self._request, "board.html", view=view)


def format_event(event_name: str, data: str, event_id: int) -> str:
    """Format a server-sent event."""
    lines = "".join(f"data: {data_line}\n" for data_line in data.splitlines() or [""])
    return f"event: {event_name}\nid: {event_id}\n{lines}\n"


async def stream_events(request: Request, watcher: RunWatcher) -> AsyncIterator[str]:
    """Yield messages until the run ends, the browser disconnects, or MAX_POLLS is reached."""
    state = request.app.state
    state.stream_count += 1
    try:
        async for message in _poll_events(request, watcher):
            yield message
    finally:
        state.stream_count -= 1


async def _poll_events(request: Request, watcher: RunWatcher) -> AsyncIterator[str]:
    yield "retry: 1000\n\n"
    idle_polls = 0
    for _ in range(MAX_POLLS):
        if await request.is_disconnected():
            return
        messages = await run_in_threadpool(watcher.poll)
        for event_text in messages:
            yield event_text
        if messages and messages[-1].startswith("event: over"):
            return
        idle_polls = 0 if messages else idle_polls + 1
        if idle_polls >= POLLS_PER_KEEPALIVE:
            idle_polls = 0
            yield ": keepalive\n\n"
        await asyncio.sleep(POLL_INTERVAL_SECONDS)


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
        if request.app.state.stream_count >= MAX_STREAMS:
            raise HTTPException(503, "too many browsers watch runs; try again", {"Retry-After": "10"})
        watched_run, plan = load_run(store, run)
        last_event_id = request.headers.get("last-event-id", "")
        last_sent = max(after, int(last_event_id)) if last_event_id.isdecimal() and len(last_event_id) < 10 else after
        watcher = RunWatcher(request, store, watched_run, plan, last_sent)
        return StreamingResponse(
            stream_events(request, watcher), headers=STREAM_HEADERS, media_type="text/event-stream"
        )

    return routes
