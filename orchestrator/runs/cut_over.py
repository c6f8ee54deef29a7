"""Write the list of steps that move an application to its new database, with the times of a measured run."""

from __future__ import annotations

import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.quantities import format_count

if TYPE_CHECKING:
    from orchestrator.postgresql.inventory import Inventory


_TEMPLATE = """\
# Cut-over: move the database

From `{old}` to `{new}`: {size}, PostgreSQL {version}.

| measured phase | time |
|---|--:|
{measured}| **total** | **{total}** |

## Before

- [ ] Tell the users when the application will be unavailable. Announce twice the measured total: {announced}.
- [ ] Run the copy once while the application runs, so that only the differences are left to copy:

      {command}

## Cut-over

- [ ] Stop everything that writes to the old database.
- [ ] Copy the rest. This takes {total} at most and must end with `Verified`:

      {command}

- [ ] Deploy the application with the new database: `orchestrator deploy`
- [ ] Check the services, and the links between rows and files: `orchestrator status`, `orchestrator verify data`
- [ ] Open the application and check that the newest rows are there.

## Go back

- [ ] If the application has not written to the new database: start the old application again. The old database has not
      been changed.
- [ ] If it has, those rows exist only in the new database. Copy them back before you start the old application.
- [ ] Keep the old database, read-only, until you no longer need it.
"""


class Phase(Struct, frozen=True):
    """A part of a migration and the seconds it took."""

    title: str
    seconds: float


class PhaseClock:
    """Measures the phases of a run, and prints each as it begins."""

    def __init__(self, print_line: Callable[[str], None], clock: Callable[[], float] = time.monotonic) -> None:
        self._print_line = print_line
        self._clock = clock
        self._began = clock()
        self._current: tuple[str, float] | None = None
        self.phases: list[Phase] = []

    def begin(self, title: str) -> None:
        """End the phase before, and begin the next one."""
        self._print_line(f"{self._clock() - self._began:6.1f}s  {title}")
        self._finish()
        self._current = (title, self._clock())

    def end(self) -> float:
        """End the last phase, and return the seconds of all."""
        self._finish()
        return self._clock() - self._began

    def _finish(self) -> None:
        if self._current is not None:
            title, began = self._current
            self.phases.append(Phase(title, self._clock() - began))
            self._current = None


def write_cut_over(path: Path, command: str, labels: tuple[str, str], source: Inventory, phases: list[Phase]) -> None:
    """Write the list as Markdown: what to do, with which command, and how long it took in this run."""
    path.write_text(render_cut_over(command, labels, source, phases))


def render_cut_over(command: str, labels: tuple[str, str], source: Inventory, phases: list[Phase]) -> str:
    """Return the list. Pure."""
    total = sum(phase.seconds for phase in phases)
    counts = f"{format_count(len(source.tables), 'table')}, {format_count(source.rows, 'row')}"
    size = f"{counts}, {source.bytes / 2**20:.1f} MB"
    measured = "".join(f"| {phase.title} | {format_seconds(phase.seconds)} |\n" for phase in phases)
    return _TEMPLATE.format(
        old=labels[0],
        new=labels[1],
        size=size,
        version=source.version,
        measured=measured,
        total=format_seconds(total),
        announced=format_seconds(2 * total),
        command=command,
    )


def format_seconds(seconds: float) -> str:
    """Return ``12 s`` or ``3 min 20 s``."""
    minutes, rest = divmod(max(1, round(seconds)), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
