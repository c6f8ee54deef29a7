"""What the commands of this package share: how they end, and how they show that they get on."""

from __future__ import annotations

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from ml.atomic_files import told
from orchestrator.problems import Problems

INTERRUPTED = 130
Advance = Callable[[], None]


def ended(work: Callable[[], int], again: str, kept: str) -> int:
    """Do ``work``; its exit code.  Whatever goes wrong becomes sentences on stderr.

    ``again`` is the command that goes on from here, ``kept`` what an interruption leaves ("Photos that are here stay").
    """
    try:
        return work()
    except Problems as problems:
        way_out = "" if any(one.hint for one in problems.problems) else f"\n    hint: {again}"
        print(f"{problems}{way_out}", file=sys.stderr)
        return int(problems.exit_code)
    except KeyboardInterrupt:
        print(f"\nInterrupted. {kept}\n    hint: {again}", file=sys.stderr)
        return INTERRUPTED
    except OSError as error:
        print(told(error, "a file cannot be read or written", again), file=sys.stderr)
        return 1


@contextmanager
def progress(doing: str, total: int) -> Iterator[Advance]:
    """A bar on stderr while a terminal watches, nothing otherwise; call what is yielded once for each of ``total``."""
    from rich.console import Console
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=console, disable=not console.is_terminal or not total) as bar:
        task = bar.add_task(doing, total=total)
        yield lambda: bar.advance(task)
