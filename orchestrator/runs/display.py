"""Display the progress of a run: a table in place, plain lines, or log entries."""

from __future__ import annotations

import shlex
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from orchestrator.planning.events import (
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
from orchestrator.redaction.redact import sanitise
from orchestrator.render import workflow_commands
from orchestrator.render.progress import LineDisplay, ProgressDisplay, ProgressState, TableDisplay
from orchestrator.runs import usual_durations
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.planning.plan import PreparedPlan


def create_display(planned: PreparedPlan, settings: Settings) -> ProgressDisplay:
    """Return the display that fits the terminal and the log settings."""
    terminal = settings.terminal
    if logger := settings.create_logger():
        return LogDisplay(logger)
    durations = usual_durations.find_file()
    progress = ProgressState(planned.plan.pending_changes, usual_seconds=usual_durations.read_usual_seconds(durations))
    display: ProgressDisplay = (
        TableDisplay(progress, terminal.err, colour=terminal.has_colour)
        if terminal.is_live
        else LineDisplay(progress, terminal.print_err, terminal.style, is_github_actions=terminal.is_github_actions)
    )
    return usual_durations.DurationRecorder(display, durations)


@contextmanager
def display_build(handle: str, command: Sequence[str], settings: Settings) -> Iterator[Callable[[str], None]]:
    """Show the output of a build, line by line, under a heading; yield the function that shows a line."""
    terminal = settings.terminal
    if logger := settings.create_logger():
        logger.info("build_started", component=handle, command=shlex.join(command))
        yield lambda line: logger.info("build_output", component=handle, line=line)
        return
    heading = sanitise(f"Build {handle}: {shlex.join(command)}")
    terminal.print_err(workflow_commands.group(heading) if terminal.is_github_actions else heading)
    try:
        yield lambda line: terminal.print_err(terminal.style.replace_unencodable(f"    {sanitise(line)}"))
    finally:
        if terminal.is_github_actions:
            terminal.print_err(workflow_commands.END_GROUP)


class LogDisplay:
    """Writes events as log entries."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def __enter__(self) -> LogDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, event: Event) -> None:
        match event:
            case ChangeStarted(address, action):
                self._logger.info("change_started", address=address, action=action.value)
            case StepCompleted(address, step, seconds):
                self._logger.debug("step_completed", address=address, step=step.action, note=step.note, seconds=seconds)
            case WaitStarted(address, description, seconds):
                self._logger.info("wait_started", address=address, waiting_for=description, seconds=seconds)
            case OutputLine(address, line):
                self._logger.info("build_output", address=address, line=line)
            case ProbeStarted(address, description):
                self._logger.info("probe_started", address=address, probe=description)
            case ProbeFinished(address, has_passed, failure, seconds):
                event_name = "probe_passed" if has_passed else "probe_failed"
                self._logger.info(event_name, address=address, failure=failure, seconds=seconds)
            case ChangeStopping(address):
                self._logger.info("change_stopping", address=address)
            case ChangeFinished(address, outcome):
                self._logger.info(
                    "change_finished",
                    address=address,
                    action=outcome.action.value,
                    actuation=outcome.actuation.value,
                    health=outcome.health.value,
                    reason=outcome.reason,
                    seconds=outcome.seconds,
                )
