"""Remember on this machine how long changes took, and say how long such a change usually takes.

The file holds the last durations by resource type and action, of all projects: AWS takes as long for one as for
another.  It decides nothing, so it may be missing, unreadable or deleted at any time.
"""

from __future__ import annotations

import os
import statistics
from collections.abc import Callable, Iterable, Mapping
from contextlib import suppress
from pathlib import Path
from types import TracebackType
from typing import Self

import msgspec

from orchestrator import canonical_json
from orchestrator.planning.events import ChangeFinished, Event
from orchestrator.render.progress import ProgressDisplay
from orchestrator.vocabulary import Actuation, Outcome

MAX_SAMPLES = 9
"""Durations kept of each kind of change; the median of them is the usual one."""
MIN_SECONDS = 1.0
"""What takes less is not worth a place in the file."""

Durations = Mapping[str, tuple[float, ...]]


def find_file(environ: Mapping[str, str] = os.environ) -> Path:
    """Return the path of the file, in the state folder of this user (XDG)."""
    folder = environ.get("XDG_STATE_HOME") or Path.home() / ".local" / "state"
    return Path(folder) / "orchestrator" / "durations.json"


def read_usual_seconds(path: Path) -> dict[str, float]:
    """Return the usual seconds by ``TYPE ACTION``, such as ``rds_instance create``."""
    return {kind: statistics.median(samples) for kind, samples in _read(path).items() if samples}


def remember(path: Path, outcomes: Iterable[Outcome]) -> None:
    """Add the durations of changes that succeeded; a file that cannot be written is left as it is."""
    durations = dict(_read(path))
    for outcome in outcomes:
        if outcome.actuation is Actuation.SUCCEEDED and outcome.seconds >= MIN_SECONDS:
            kind = f"{outcome.address.partition('.')[0]} {outcome.action.value}"
            durations[kind] = (*durations.get(kind, ()), round(outcome.seconds, 1))[-MAX_SAMPLES:]
    with suppress(OSError):
        path.parent.mkdir(parents=True, exist_ok=True)
        temporary = path.with_suffix(f".{os.getpid()}")
        temporary.write_bytes(canonical_json.dump(durations))
        temporary.replace(path)


def _read(path: Path) -> Durations:
    try:
        return msgspec.json.decode(path.read_bytes(), type=dict[str, tuple[float, ...]])
    except (OSError, *canonical_json.DECODE_ERRORS):
        return {}


class DurationRecorder:
    """A display that remembers how long changes took, and passes everything on to another."""

    def __init__(
        self, display: ProgressDisplay, path: Path, save: Callable[[Path, Iterable[Outcome]], None] = remember
    ) -> None:
        self._display = display
        self._path = path
        self._save = save
        self._outcomes: list[Outcome] = []

    def __enter__(self) -> Self:
        self._display.__enter__()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._display.__exit__(kind, error, traceback)
        self._save(self._path, self._outcomes)

    def __call__(self, event: Event) -> None:
        if isinstance(event, ChangeFinished):
            self._outcomes.append(event.outcome)
        self._display(event)
