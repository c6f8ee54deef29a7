"""Show the progress of an apply: a table that updates in place on a terminal, plain lines elsewhere.

Handles events from any thread.  The output may be closed at any time: a display never stops a run.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterable, Mapping
from contextlib import AbstractContextManager, suppress
from enum import Enum
from types import TracebackType
from typing import IO, Any, Protocol, Self

from msgspec import Struct

from orchestrator.planning.events import (
    BatchProgress,
    ChangeFinished,
    ChangeStarted,
    ChangeStopping,
    Event,
    OutputLine,
    ProbeFinished,
    ProbeStarted,
    StepCompleted,
    WaitStarted,
)
from orchestrator.quantities import format_count
from orchestrator.redaction.redact import sanitise
from orchestrator.render import workflow_commands
from orchestrator.render.apply_report import COMPLETED_LABELS, format_duration
from orchestrator.render.plan_view import clean_name, clean_sentence
from orchestrator.render.style import Style
from orchestrator.vocabulary import Action, Actuation, Change, Health, Outcome, PlannedStep

IN_PROGRESS_LABELS = {
    Action.CREATE: "creating",
    Action.UPDATE: "updating",
    Action.REPLACE: "replacing",
    Action.DELETE: "deleting",
    Action.NONE: "checking",
}
STOPPING_TEXT = "interrupted: waiting for the call in progress"
HEARTBEAT_INTERVAL_SECONDS = 30.0
MIN_USUAL_SECONDS = 20.0
"""A change that usually takes less is over before anybody asks how long it takes."""


class ProgressDisplay(AbstractContextManager["ProgressDisplay"], Protocol):
    """Shows a run's events inside a ``with`` block; calling it with an event must not fail."""

    def __call__(self, event: Event) -> None: ...


class RowState(Enum):
    """The state of one change; the value is its colour."""

    PENDING = "dim"
    RUNNING = "cyan"
    DONE = "green"
    UNHEALTHY = "yellow"
    SKIPPED = "magenta"
    FAILED = "red"


class ProgressRow(Struct):
    """One change or probe in the display.  Times are in seconds."""

    address: str
    action: Action
    state: RowState = RowState.PENDING
    started_at: float = 0.0
    duration_seconds: float = 0.0
    detail: str = ""
    is_probe: bool = False
    usual_seconds: float = 0.0

    @property
    def description(self) -> str:
        """What it does or waits for, and how long such a change usually takes."""
        if self.state is not RowState.RUNNING or self.usual_seconds < MIN_USUAL_SECONDS:
            return self.detail
        return f"{self.detail} (usually {format_duration(self.usual_seconds)})".strip()

    @property
    def status(self) -> str:
        """``creating``, ``created``, ``failed`` ..."""
        match self.state:
            case RowState.PENDING:
                return "waiting"
            case RowState.RUNNING:
                return "probing" if self.is_probe else IN_PROGRESS_LABELS[self.action]
            case RowState.DONE:
                return "passed" if self.is_probe else COMPLETED_LABELS[self.action]
            case RowState.UNHEALTHY:
                return "unhealthy"
            case _:
                return self.state.name.lower()

    def elapsed_seconds(self, now: float) -> float:
        """Return the seconds it has taken so far."""
        return now - self.started_at if self.state is RowState.RUNNING else self.duration_seconds


class ProgressState:
    """The state of a run according to its events.  Not thread-safe: displays call it under their lock.

    ``usual_seconds`` says how long changes usually take, by ``TYPE ACTION``.
    """

    def __init__(
        self,
        changes: Iterable[Change],
        clock: Callable[[], float] = time.monotonic,
        usual_seconds: Mapping[str, float] | None = None,
    ) -> None:
        self.clock = clock
        self._usual_seconds = usual_seconds or {}
        self.started_at = clock()
        self.rows = {change.address: ProgressRow(clean_name(change.address), change.action) for change in changes}

    def handle_event(self, event: Event) -> ProgressRow:
        """Apply an event and return the row that it changed."""
        row = self.rows.setdefault(event.address, ProgressRow(clean_name(event.address), Action.NONE))
        match event:
            case ChangeStarted(_, action):
                row.action, row.state, row.started_at = action, RowState.RUNNING, self.clock()
                kind = f"{event.address.partition('.')[0]} {action.value}"
                row.usual_seconds = self._usual_seconds.get(kind, 0.0)
            case StepCompleted(_, step):
                row.detail = describe_step(step)
            case WaitStarted(_, description):
                row.detail = clean_sentence(description)
            case BatchProgress(_, description, done, total):
                row.detail = sanitise(f"{done:,}/{total:,} {description}")
            case OutputLine(_, line):
                row.detail = sanitise(line.strip()) or row.detail
            case ChangeStopping():
                row.detail = STOPPING_TEXT
            case ChangeFinished(_, outcome):
                row.state, row.duration_seconds, row.detail = (
                    to_row_state(outcome),
                    outcome.seconds,
                    clean_sentence(outcome.reason),
                )
            case ProbeStarted(_, description):
                row.is_probe, row.state, row.started_at, row.detail = (
                    True,
                    RowState.RUNNING,
                    self.clock(),
                    sanitise(description),
                )
            case ProbeFinished(_, passed, observation, seconds):
                row.state, row.duration_seconds, row.detail = (
                    RowState.DONE if passed else RowState.FAILED,
                    seconds,
                    clean_sentence(observation),
                )
        return row

    def list_running(self) -> list[ProgressRow]:
        """Return the running rows, longest-running first."""
        return sorted(
            (row for row in self.rows.values() if row.state is RowState.RUNNING), key=lambda row: row.started_at
        )


def to_row_state(outcome: Outcome) -> RowState:
    """Return the row state of an outcome."""
    if outcome.actuation is Actuation.FAILED:
        return RowState.FAILED
    if outcome.actuation is Actuation.SKIPPED:
        return RowState.SKIPPED
    return RowState.DONE if outcome.health is Health.HEALTHY else RowState.UNHEALTHY


def describe_step(step: PlannedStep) -> str:
    """Return a step as text without its parameters."""
    return sanitise(f"{step.action} {step.note}".strip())


class LineDisplay:
    """Writes one plain line per finished resource, and a heartbeat line for those that take long.

    ``write`` receives each line without a line end.  In GitHub Actions the lines are grouped and failures annotated.
    """

    def __init__(
        self, progress: ProgressState, write: Callable[[str], None], style: Style, *, is_github_actions: bool = False
    ) -> None:
        self._progress = progress
        self._write: Callable[[str], None] | None = write
        self._style = style
        self._in_actions = is_github_actions
        self._lock = threading.Lock()
        self._output_address = ""
        self._stopped = threading.Event()
        self._heartbeat_thread = threading.Thread(target=self._write_heartbeats, name="progress", daemon=True)

    def __enter__(self) -> Self:
        if self._in_actions:
            self._write_line(workflow_commands.group(f"Apply {format_count(len(self._progress.rows), 'change')}"))
        self._heartbeat_thread.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._stopped.set()
        self._heartbeat_thread.join()
        if self._in_actions:
            self._write_line(workflow_commands.END_GROUP)

    def __call__(self, event: Event) -> None:
        with self._lock:
            row = self._progress.handle_event(event)
            if isinstance(event, OutputLine):
                self._write_output(row.address, event)
            elif isinstance(event, (ChangeStopping, ChangeFinished, ProbeStarted, ProbeFinished)):
                self._output_address = ""
                self._write_line(self._format_row(row))
                if self._in_actions and row.state is RowState.FAILED and not row.is_probe:
                    self._write_line(workflow_commands.error(row.detail, title=f"{row.address} failed"))

    def _write_output(self, heading: str, event: OutputLine) -> None:
        """Write a line of a program under a heading that says whose output it is."""
        if self._output_address != event.address:
            self._write_line(f"Output of {heading}:")
            self._output_address = event.address
        self._write_line(self._style.replace_unencodable(f"    {sanitise(event.line)}"))

    def _format_row(self, row: ProgressRow) -> str:
        reason = f"  {row.description}" if row.description else ""
        status = self._style.paint(f"{row.status:<9}", row.state.value)
        duration = "" if row.state is RowState.SKIPPED else format_duration(row.elapsed_seconds(self._progress.clock()))
        return self._style.replace_unencodable(f"{duration:>12}  {status}  {row.address}{reason}")

    def _write_heartbeats(self) -> None:
        while not self._stopped.wait(HEARTBEAT_INTERVAL_SECONDS):
            with self._lock:
                self._output_address = ""
                for row in self._progress.list_running():
                    self._write_line(self._format_row(row))

    def _write_line(self, line: str) -> None:
        if self._write is None:
            return
        try:
            self._write(line)
        except (OSError, ValueError):  # the output was closed: the run continues
            self._write = None


class TableDisplay:
    """A table on a terminal, redrawn several times a second.  It shows the rows that fit, and all rows at the end."""

    def __init__(
        self, progress: ProgressState, stream: IO[str], *, colour: bool = True, width: int | None = None
    ) -> None:
        from rich.console import Console
        from rich.live import Live

        self._progress = progress
        self._console = Console(file=stream, no_color=not colour, highlight=False, width=width)
        self._lock = threading.Lock()
        self._is_finished = False
        self._output_address = ""
        self._live = Live(
            console=self._console, get_renderable=self._render, refresh_per_second=8, redirect_stderr=False
        )

    def __enter__(self) -> Self:
        self._console.line()
        self._live.start()
        return self

    def __exit__(self, *_: type[BaseException] | BaseException | TracebackType | None) -> None:
        self._is_finished = True
        try:
            self._live.stop()
        except (OSError, ValueError):
            return

    def __call__(self, event: Event) -> None:
        with self._lock:
            row = self._progress.handle_event(event)
        if isinstance(event, OutputLine):
            self._print_output(row.address, event)

    def _print_output(self, heading: str, event: OutputLine) -> None:
        """Print a line of a program above the table, where it scrolls away."""
        from rich.text import Text

        lines = [f"Output of {heading}:"] if self._output_address != event.address else []
        self._output_address = event.address
        for line in (*lines, f"    {sanitise(event.line)}"):
            with suppress(OSError, ValueError):  # the output was closed: the run continues
                self._console.print(Text(line), soft_wrap=True)

    def _render(self) -> Any:
        from rich.table import Table as Grid
        from rich.text import Text

        grid = Grid(box=None, padding=(0, 2, 0, 0), show_header=False, expand=True)
        grid.add_column(width=9, no_wrap=True)
        grid.add_column(width=self._address_width(), no_wrap=True, overflow="ellipsis")
        grid.add_column(width=12, no_wrap=True, justify="right")
        grid.add_column(no_wrap=True, overflow="ellipsis", ratio=1, style="dim")
        with self._lock:
            now = self._progress.clock()
            for row in self._visible_rows():
                duration = (
                    ""
                    if row.state in {RowState.PENDING, RowState.SKIPPED}
                    else format_duration(row.elapsed_seconds(now))
                )
                status = Text(row.status, style=row.state.value)
                grid.add_row(status, Text(row.address), Text(duration), Text(row.description))
            duration = format_duration(now - self._progress.started_at)
            grid.add_row(
                Text("total", style="bold"),
                self._render_bar(),
                Text(duration, style="bold"),
                Text(self._format_counts()),
            )
        return grid

    def _address_width(self) -> int:
        longest_address = max((len(row.address) for row in self._progress.rows.values()), default=0)
        return max(20, min(longest_address, self._console.width // 2))

    def _render_bar(self) -> Any:
        """Return the share of finished rows as a bar; red once one has failed."""
        from rich.progress_bar import ProgressBar

        states = [row.state for row in self._progress.rows.values()]
        finished = sum(state not in {RowState.PENDING, RowState.RUNNING} for state in states)
        colour = "red" if RowState.FAILED in states else "green"
        return ProgressBar(len(states) or 1, finished, style="dim", complete_style=colour, finished_style=colour)

    def _visible_rows(self) -> list[ProgressRow]:
        """Return all rows at the end; before that, the most relevant ones that fit."""
        rows = list(self._progress.rows.values())
        max_rows = max(3, self._console.height - 2)
        if self._is_finished or len(rows) <= max_rows:
            return rows
        order = [
            RowState.RUNNING,
            RowState.FAILED,
            RowState.UNHEALTHY,
            RowState.PENDING,
            RowState.SKIPPED,
            RowState.DONE,
        ]
        return sorted(rows, key=lambda row: order.index(row.state))[:max_rows]

    def _format_counts(self) -> str:
        rows = self._progress.rows.values()
        finished = sum(row.state not in {RowState.PENDING, RowState.RUNNING} for row in rows)
        failed = sum(row.state is RowState.FAILED for row in rows)
        return f"{finished} of {len(rows)}" + (f", {failed} failed" if failed else "")
