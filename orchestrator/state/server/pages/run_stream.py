"""A run as it happens: server-sent events whose data is the page's own parts, made anew.

``board`` replaces the table, ``line`` adds to the log and bears the event's number, ``over`` says there is no more.
"""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Annotated

from fastapi import APIRouter, Query, Request
from starlette.concurrency import run_in_threadpool
from starlette.responses import Response, StreamingResponse

from orchestrator.state.protocol.records import PlanRecord, Run
from orchestrator.state.server.pages.rendering import fragment
from orchestrator.state.server.pages.resource_table import Board, board, line
from orchestrator.state.server.pages.runs import RunId, RunView, elapsed, load
from orchestrator.state.server.request_context import Keeper, Reader
from orchestrator.state.server.routing import Route
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.run_events import each_event

PAUSE = 0.5
"""Seconds between two looks; many people may look at once."""
QUIET = 20
"""Looks without news after which a word is sent, so that nothing between us ends the stream."""
LOOKS = 600
"""After so many looks the stream ends and the browser asks again; nobody who left is served for ever."""
HEADERS = {"Cache-Control": "no-store", "X-Accel-Buffering": "no"}


class Watch:
    """One browser that watches one run."""

    def __init__(self, request: Request, store: Store, run: Run, plan: PlanRecord | None, after: int) -> None:
        self._request, self._store = request, store
        self._run, self._plan, self._told = run, plan, after
        self._board: Board | None = None

    def look(self) -> list[str]:
        """What is new, as messages; the last is ``over`` when the run has ended."""
        self._run = self._store.run(self._run.id) or self._run
        if self._board is None:
            events = list(each_event(self._store, self._run.id))
            self._board = board(self._run, self._plan.plan if self._plan else None, events)
            fresh = [event for event in events if event.sequence > self._told]
        else:
            fresh = list(each_event(self._store, self._run.id, self._board.last))
            for event in fresh:
                self._board.feed(event)
        messages = [message("line", self._line(line(event)), event.sequence) for event in fresh]
        self._told = max([self._told, *(event.sequence for event in fresh)])
        if fresh or self._run.is_over:
            messages.append(message("board", self._parts(), self._told))
        return [*messages, message("over", self._run.status, self._told)] if self._run.is_over else messages

    def _line(self, shown: object) -> str:
        return fragment(self._request, "line.html", line=shown)

    def _parts(self) -> str:
        now = board(self._run, None, ()) if self._board is None else self._board
        if self._run.is_over:
            now = board(self._run, self._plan.plan if self._plan else None, each_event(self._store, self._run.id))
        view = RunView(self._run, now, (), self._told, 0, elapsed(self._store, self._run), "")
        return fragment(self._request, "board.html", view=view)


def message(kind: str, data: str, number: int) -> str:
    """One server-sent event."""
    lines = "".join(f"data: {one}\n" for one in data.splitlines() or [""])
    return f"event: {kind}\nid: {number}\n{lines}\n"


async def stream(request: Request, watch: Watch) -> AsyncIterator[str]:
    """Messages until the run ends, the browser leaves, or it is time to ask again."""
    yield "retry: 1000\n\n"
    quiet = 0
    for _ in range(LOOKS):
        if await request.is_disconnected():
            return
        messages = await run_in_threadpool(watch.look)
        for one in messages:
            yield one
        if messages and messages[-1].startswith("event: over"):
            return
        quiet = 0 if messages else quiet + 1
        if quiet >= QUIET:
            quiet = 0
            yield ": still here\n\n"
        await asyncio.sleep(PAUSE)


def router() -> APIRouter:
    """``/runs/{run}/live``; a browser that comes back says where it was in ``Last-Event-ID``."""
    routes = APIRouter(include_in_schema=False, route_class=Route)

    @routes.get("/runs/{run}/live")
    def live(
        request: Request, store: Keeper, _: Reader, run: RunId, after: Annotated[int, Query(ge=0, le=2**31 - 1)] = 0
    ) -> Response:
        found, plan = load(store, run)
        last = request.headers.get("last-event-id", "")
        told = max(after, int(last)) if last.isdecimal() and len(last) < 10 else after
        watch = Watch(request, store, found, plan, told)
        return StreamingResponse(stream(request, watch), headers=HEADERS, media_type="text/event-stream")

    return routes
