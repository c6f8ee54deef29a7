"""An apply while it runs: a table that updates in place on a terminal, plain lines elsewhere.

Listens to events, from any thread.  Whoever reads the output may go away: a display never stops a run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable
from contextlib import AbstractContextManager
from enum import Enum
from types import TracebackType
from typing import IO, Any, Protocol, Self

from msgspec import Struct

from orchestrator.planning.events import Answered, Asking, Event, Finished, Progress, Started, StepDone, Waiting
from orchestrator.redaction.redact import safe
from orchestrator.render import workflow_commands
from orchestrator.render.apply_report import DONE, elapsed
from orchestrator.render.plan_view import name, sentence
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Actuation, Change, Health, Outcome, PlannedStep

DOING = {
    Action.CREATE: "creating",
    Action.UPDATE: "updating",
    Action.REPLACE: "replacing",
    Action.DELETE: "deleting",
    Action.NONE: "checking",
}
HEARTBEAT_SECONDS = 30.0


class Display(AbstractContextManager["Display"], Protocol):
    """What follows a run from inside a ``with``; calling it with an event may not fail."""

    def __call__(self, event: Event) -> None: ...


class State(Enum):
    """How far one change is; the value is its colour."""

    PENDING = "dim"
    RUNNING = "cyan"
    DONE = "green"
    UNWELL = "yellow"
    SKIPPED = "magenta"
    FAILED = "red"


class Row(Struct):
    """One change on the board; ``began`` and ``took`` in seconds."""

    address: str
    action: Action
    state: State = State.PENDING
    began: float = 0.0
    took: float = 0.0
    step: str = ""
    proof: bool = False

    @property
    def status(self) -> str:
        """``creating``, ``created``, ``failed`` ..."""
        match self.state:
            case State.PENDING:
                return "waiting"
            case State.RUNNING:
                return "proving" if self.proof else DOING[self.action]
            case State.DONE:
                return "proved" if self.proof else DONE[self.action]
            case State.UNWELL:
                return "not well"
            case _:
                return self.state.name.lower()

    def seconds(self, now: float) -> float:
        """How long it has taken so far."""
        return now - self.began if self.state is State.RUNNING else self.took


class Board:
    """What the events have told so far.  Not thread-safe: displays hold their lock around it."""

    def __init__(self, changes: Iterable[Change], clock: Callable[[], float] = time.monotonic) -> None:
        self.clock = clock
        self.began = clock()
        self.rows = {change.address: Row(name(change.address), change.action) for change in changes}

    def note(self, event: Event) -> Row:
        """Take an event in; the row it is about."""
        row = self.rows.setdefault(event.address, Row(name(event.address), Action.NONE))
        match event:
            case Started(_, action):
                row.action, row.state, row.began = action, State.RUNNING, self.clock()
            case StepDone(_, step):
                row.step = said(step)
            case Waiting(_, what):
                row.step = sentence(what)
            case Progress(_, what, done, total):
                row.step = safe(f"{done:,}/{total:,} {what}")
            case Finished(_, outcome):
                row.state, row.took, row.step = state(outcome), outcome.seconds, sentence(outcome.reason)
            case Asking(_, what):
                row.proof, row.state, row.began, row.step = True, State.RUNNING, self.clock(), safe(what)
            case Answered(_, passed, saw, seconds):
                row.state, row.took, row.step = State.DONE if passed else State.FAILED, seconds, sentence(saw)
        return row

    def running(self) -> list[Row]:
        """What is under way, longest first."""
        return sorted((row for row in self.rows.values() if row.state is State.RUNNING), key=lambda row: row.began)


def state(outcome: Outcome) -> State:
    """The outcome as a state of the board."""
    if outcome.actuation is Actuation.FAILED:
        return State.FAILED
    if outcome.actuation is Actuation.SKIPPED:
        return State.SKIPPED
    return State.DONE if outcome.health is Health.HEALTHY else State.UNWELL


def said(step: PlannedStep) -> str:
    """A step without its parameters."""
    return safe(f"{step.action} {step.note}".strip())


class Lines:
    """One plain line for each resource that ends, and a sign of life for those that take long.

    ``write`` gets each line without its end.  In GitHub Actions the lines are folded and failures are annotated.
    """

    def __init__(self, board: Board, write: Callable[[str], None], style: Style, *, in_actions: bool = False) -> None:
        self._board = board
        self._write: Callable[[str], None] | None = write
        self._style = style
        self._in_actions = in_actions
        self._lock = threading.Lock()
        self._ended = threading.Event()
        self._pulse = threading.Thread(target=self._beat, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._in_actions:
            self._say(workflow_commands.group(f"Apply {len(self._board.rows)} changes"))
        self._pulse.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._ended.set()
        self._pulse.join()
        if self._in_actions:
            self._say(workflow_commands.END_GROUP)

    def __call__(self, event: Event) -> None:
        with self._lock:
            row = self._board.note(event)
            if isinstance(event, (Finished, Asking, Answered)):
                self._say(self._line(row))
                if self._in_actions and row.state is State.FAILED and not row.proof:
                    self._say(workflow_commands.error(row.step, title=f"{row.address} failed"))

    def _line(self, row: Row) -> str:
        reason = f"  {row.step}" if row.step else ""
        status = self._style.paint(f"{row.status:<9}", row.state.value)
        took = "" if row.state is State.SKIPPED else elapsed(row.seconds(self._board.clock()))
        return self._style.fit(f"{took:>12}  {status}  {row.address}{reason}")

    def _beat(self) -> None:
        while not self._ended.wait(HEARTBEAT_SECONDS):
            with self._lock:
                for row in self._board.running():
                    self._say(self._line(row))

    def _say(self, line: str) -> None:
        if self._write is None:
            return
        try:
            self._write(line)
        except (OSError, ValueError):  # the reader has gone; the run goes on
            self._write = None


class Table:
    """A table on a terminal, drawn anew several times a second; whole when it ends, as high as fits until then."""

    def __init__(self, board: Board, stream: IO[str], *, colour: bool = True, width: int | None = None) -> None:
        from rich.console import Console
        from rich.live import Live

        self._board = board
        self._console = Console(file=stream, no_color=not colour, highlight=False, width=width)
        self._lock = threading.Lock()
        self._final = False
        self._live = Live(
            console=self._console, get_renderable=self._frame, refresh_per_second=8, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._console.line()
        self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._final = True
        try:
            self._live.stop()
        except (OSError, ValueError):
            return

    def __call__(self, event: Event) -> None:
        with self._lock:
            self._board.note(event)

    def _frame(self) -> Any:
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
        grid.add_column(width=9, no_wrap=True)
        grid.add_column(width=self._widest(), no_wrap=True, overflow="ellipsis")
        grid.add_column(width=12, no_wrap=True, justify="right")
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
        with self._lock:
            now = self._board.clock()
            for row in self._visible():
                took = "" if row.state in {State.PENDING, State.SKIPPED} else elapsed(row.seconds(now))
                status = Text(row.status, style=row.state.value)
                grid.add_row(status, Text(row.address), Text(took), Text(row.step))
            took = elapsed(now - self._board.began)
            grid.add_row(Text("total", style="bold"), self._bar(), Text(took, style="bold"), Text(self._counted()))
        return grid

    def _widest(self) -> int:
        longest = max((len(row.address) for row in self._board.rows.values()), default=0)
        return max(20, min(longest, self._console.width // 2))

    def _bar(self) -> Any:
        """How much has ended, as a bar; red once something failed."""
        from rich.progress_bar import ProgressBar

        states = [row.state for row in self._board.rows.values()]
        ended = sum(state not in {State.PENDING, State.RUNNING} for state in states)
        colour = "red" if State.FAILED in states else "green"
        return ProgressBar(len(states) or 1, ended, style="dim", complete_style=colour, finished_style=colour)

    def _visible(self) -> list[Row]:
        """All rows at the end; before that, what matters most and fits."""
        rows = list(self._board.rows.values())
        room = max(3, self._console.height - 2)
        if self._final or len(rows) <= room:
            return rows
        order = [State.RUNNING, State.FAILED, State.UNWELL, State.PENDING, State.SKIPPED, State.DONE]
        return sorted(rows, key=lambda row: order.index(row.state))[:room]

    def _counted(self) -> str:
        rows = self._board.rows.values()
        ended = sum(row.state not in {State.PENDING, State.RUNNING} for row in rows)
        failed = sum(row.state is State.FAILED for row in rows)
        return f"{ended} of {len(rows)}" + (f", {failed} failed" if failed else "")
