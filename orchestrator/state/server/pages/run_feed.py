"""Follow running runs for all browsers that watch them: one reader a run, however many watch.

A feed reads the events of its run once, and keeps its table, its last log lines and their HTML.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextlib import suppress

from msgspec.structs import replace
from starlette.concurrency import run_in_threadpool

from orchestrator.state.protocol.records import PlanRecord, Run, StepEvent
from orchestrator.state.server.pages.resource_table import ResourceTable, build_resource_table, format_log_line
from orchestrator.state.server.pages.runs import RunView, elapsed_seconds, find_usual_seconds
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.run_events import iter_events

POLL_INTERVAL_SECONDS = 0.5
"""Seconds between two polls of the store, for all browsers that watch a run."""
MAX_LINES = 2000
"""Log lines that are kept; a browser that comes late to a long run gets the last ones."""
Renderer = Callable[..., str]


class RunFeed:
    """What happens in one run, as messages that all its browsers share.

    ``changed_event`` is set, and replaced, when there is something new; ``has_failed``: the store did not answer.
    """

    def __init__(self, store: Store, run: Run, render: Renderer) -> None:
        self.viewer_count = 0
        self.has_failed = False
        self.changed_event = asyncio.Event()
        self._store, self._run, self._render = store, run, render
        self._plan: PlanRecord | None = None
        self._usual_seconds: float | None = None
        self._table: ResourceTable | None = None
        self._lines: deque[tuple[int, str]] = deque(maxlen=MAX_LINES)
        self._board = self._plan_section = ""
        self.version = 0

    @property
    def is_over(self) -> bool:
        return self._run.is_over and self.version > 0

    def messages_after(self, sequence: int, version: int) -> tuple[list[str], int]:
        """Return the messages for a browser that has seen the log up to ``sequence`` and the table of ``version``.

        The last is ``over`` if the run has ended.  The second value is the number of the last event.
        """
        last_sequence = max(sequence, self._table.last_sequence if self._table else 0)
        messages = [line for number, line in self._lines if number > sequence]
        if version != self.version:
            messages.append(self._board)
            if self._plan_section:
                messages.append(self._plan_section)
        if self.is_over:
            messages.append(format_event("over", self._run.status, last_sequence))
        return messages, last_sequence

    async def follow(self) -> None:
        """Poll the store until the run ends; runs as a task while anybody watches."""
        try:
            while True:
                if await run_in_threadpool(self.poll):
                    self._announce()
                if self.is_over:
                    return
                await asyncio.sleep(POLL_INTERVAL_SECONDS)
        except Exception:
            self.has_failed = True
            self._announce()
            raise

    def poll(self) -> bool:
        """Read what is new; return whether anything is."""
        self._run = self._store.get_run(self._run.id) or self._run
        has_plan = self._load_plan()
        if self._table is None or has_plan:  # a plan also names the resources that wait
            self._usual_seconds = find_usual_seconds(self._store, self._run)
            running = replace(self._run, status="running", outcomes=())
            self._table = build_resource_table(running, self._plan.plan if self._plan else None, ())
        previous_sequence = self._lines[-1][0] if self._lines else 0
        new_events: deque[StepEvent] = deque(maxlen=MAX_LINES)
        for event in iter_events(self._store, self._run.id, self._table.last_sequence):
            self._table.apply_event(event)
            if event.sequence > previous_sequence:
                new_events.append(event)
        if self.version and not (new_events or has_plan or self._run.is_over):
            return False
        self._lines += [(event.sequence, self._format_line(event)) for event in new_events]
        board = self._render("board.html", view=self._build_view(self._table))
        self._board = format_event("board", board, self._table.last_sequence)
        self.version += 1
        return True

    def _load_plan(self) -> bool:
        """Load the plan of the run if there is one by now; return whether that is new."""
        if self._plan is not None or not self._run.plan:
            return False
        self._plan = self._store.get_plan(self._run.plan)
        if self._plan is not None:
            section = self._render("run_plan.html", run=self._run, plan=self._plan)
            self._plan_section = format_event("plan", section, self._lines[-1][0] if self._lines else 0)
        return self._plan is not None

    def _build_view(self, table: ResourceTable) -> RunView:
        if self._run.is_over:
            events = () if self._run.outcomes else iter_events(self._store, self._run.id)
            table = build_resource_table(self._run, self._plan.plan if self._plan else None, events)
        seconds = elapsed_seconds(self._store, self._run)
        return RunView(self._run, table, (), table.last_sequence, 0, seconds, self._usual_seconds)

    def _format_line(self, event: StepEvent) -> str:
        return format_event("line", self._render("line.html", line=format_log_line(event)), event.sequence)

    def _announce(self) -> None:
        self.changed_event.set()
        self.changed_event = asyncio.Event()


class RunFeeds:
    """The feeds of a process: one for each run that is watched."""

    def __init__(self) -> None:
        self._feeds: dict[str, tuple[RunFeed, asyncio.Task[None]]] = {}
        self.viewer_count = 0

    def join(self, store: Store, run: Run, render: Renderer) -> RunFeed:
        """Return the feed of a run for one more browser; ``leave`` ends that."""
        if run.id not in self._feeds or self._feeds[run.id][0].has_failed:
            feed = RunFeed(store, run, render)
            self._feeds[run.id] = (feed, asyncio.create_task(feed.follow()))
        feed = self._feeds[run.id][0]
        feed.viewer_count += 1
        self.viewer_count += 1
        return feed

    def leave(self, run_id: str, feed: RunFeed) -> None:
        """End the feed of a run with its last browser."""
        feed.viewer_count -= 1
        self.viewer_count -= 1
        current_feed, task = self._feeds.get(run_id, (None, None))
        if feed.viewer_count == 0 and current_feed is feed and task is not None:
            task.cancel()
            task.add_done_callback(_ignore_result)
            del self._feeds[run_id]


def format_event(event_name: str, data: str, event_id: int) -> str:
    """Format a server-sent event."""
    lines = "".join(f"data: {data_line}\n" for data_line in data.splitlines() or [""])
    return f"event: {event_name}\nid: {event_id}\n{lines}\n"


def _ignore_result(task: asyncio.Task[None]) -> None:
    """Take a task's exception, which its browsers have noticed: their streams end."""
    with suppress(asyncio.CancelledError):
        task.exception()
