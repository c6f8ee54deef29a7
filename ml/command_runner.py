"""Run a command of this package: print errors with a retry hint, map them to exit codes, and show progress."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ml.atomic_files import describe_os_error
from orchestrator.problems import Problems

INTERRUPTED_EXIT_CODE = 130
ProgressCallback = Callable[[], None]


def run_command(work: Callable[[], int], retry_command: str, interrupt_note: str) -> int:
    """Call ``work`` and return its exit code; print errors to stderr and return 1, or 130 after Ctrl-C.

    ``retry_command`` resumes the work and becomes the hint; ``interrupt_note`` says what an interruption leaves.
    """
    try:
        return work()
    except Problems as problems:
        hint_text = (
            "" if any(problem.hint for problem in problems.problems) else f"\n    hint: run again: {retry_command}"
        )
        print(f"{problems}{hint_text}", file=sys.stderr)
        return int(problems.exit_code)
    except KeyboardInterrupt:
        print(f"\nInterrupted. {interrupt_note}\n    hint: continue with: {retry_command}", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    except OSError as error:
        print(describe_os_error(error, "cannot read or write a file", retry_command), file=sys.stderr)
        return 1


def format_duration(seconds: float) -> str:
    """Return a duration as ``4.0s`` under a minute, otherwise as ``2m14s``."""
    minutes, remainder = divmod(round(seconds), 60)
    return f"{minutes}m{remainder:02}s" if minutes else f"{seconds:.1f}s"


@contextmanager
def show_progress(description: str, total: int) -> Iterator[ProgressCallback]:
    """Show a progress bar when stderr is a terminal; yield a callback to call once for each of ``total`` items."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal or not total) as progress_bar:
        task = progress_bar.add_task(description, total=total)
        yield lambda: progress_bar.advance(task)
