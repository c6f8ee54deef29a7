"""What the commands of this package share: how they end, and how they show that they get on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ml.atomic_files import describe_os_error
from orchestrator.problems import Problems

INTERRUPTED_EXIT_CODE = 130
ProgressCallback = Callable[[], None]


def run_command(work: Callable[[], int], retry_command: str, interrupt_note: str) -> int:
    """Do ``work``; its exit code.  Whatever goes wrong becomes sentences on stderr.

    ``again`` is the command that goes on from here, ``kept`` what an interruption leaves ("Photos that are here stay").
    """
    try:
        return work()
    except Problems as problems:
        hint_text = "" if any(problem.hint for problem in problems.problems) else f"\n    hint: {retry_command}"
        print(f"{problems}{hint_text}", file=sys.stderr)
        return int(problems.exit_code)
    except KeyboardInterrupt:
        print(f"\nInterrupted. {interrupt_note}\n    hint: {retry_command}", file=sys.stderr)
        return INTERRUPTED_EXIT_CODE
    except OSError as error:
        print(describe_os_error(error, "a file cannot be read or written", retry_command), file=sys.stderr)
        return 1


@contextmanager
def show_progress(description: str, total: int) -> Iterator[ProgressCallback]:
    """A bar on stderr while a terminal watches, nothing otherwise; call what is yielded once for each of ``total``."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal or not total) as progress_bar:
        task = progress_bar.add_task(description, total=total)
        yield lambda: progress_bar.advance(task)
