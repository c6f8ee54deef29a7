"""What trainings leave behind and nobody will ask for again: ``.features/``, ``.training/`` and runs without an end.

A training keeps what it computed, for the next one and for itself after an interruption.  A shop trains once a month,
so what no training has used for ``DAYS`` days is of a setting or a product that was given up.  Finished runs stay: they
are what the shop goes back to.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ml.training_run import RUN

DAYS = 100
"""Three trainings of a shop that trains once a month."""
TORN = 1
"""Days after which a file that was being written when the power went is nobody's."""
DAY = 86_400.0
VERSION = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


def prune(runs: Path, now: float | None = None) -> int:
    """Remove what no training has used for ``DAYS`` days; the bytes that were freed.

    ``now``: seconds since 1970, the clock's when None.  What cannot be removed stays until the next time.
    """
    moment = time.time() if now is None else now
    freed = 0
    for path in _forgotten(runs, moment):
        with suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed += size
    for folder in (*runs.glob(".features/*"), *runs.glob(".training/*"), *_unfinished(runs)):
        if folder.is_dir() and not any(path.is_file() for path in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)
    return freed


def _forgotten(runs: Path, moment: float) -> Iterator[Path]:
    """Files that nobody has used for too long: shards with their lists, checkpoints, half runs, parts of files."""
    kept = (*runs.glob(".features/*/*"), *runs.glob(".training/*/*"))
    for path in sorted((*kept, *(path for folder in _unfinished(runs) for path in folder.rglob("*")))):
        days = TORN if ".part" in path.name else DAYS
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime < moment - days * DAY:
                yield path


def _unfinished(runs: Path) -> Iterator[Path]:
    """Folders of trainings that never came to their end."""
    for folder in runs.glob("*"):
        if VERSION.fullmatch(folder.name) and not (folder / RUN).exists():
            yield folder
