"""Remove stale caches and checkpoints: ``.features/``, ``.training/`` and unfinished runs.

Training caches features and checkpoints for later trainings and for resuming.  A shop trains about once a month, so
files unused for ``MAX_UNUSED_DAYS`` belong to abandoned settings or products.  Finished runs stay, for rollbacks.
"""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

from ml.training_run import RUN_FILE

MAX_UNUSED_DAYS = 100
"""Three monthly trainings."""
MAX_PARTIAL_FILE_DAYS = 1
"""Days after which a temporary file counts as abandoned by a crashed process."""
DAY_SECONDS = 86_400.0
RUN_VERSION_PATTERN = re.compile(r"\d{8}-\d{6}-[0-9a-f]{4}")


def prune(runs_folder: Path, now: float | None = None) -> int:
    """Remove files unused for ``MAX_UNUSED_DAYS``; return the number of bytes freed.

    ``now``: seconds since 1970; None for the current time.  Files that cannot be removed are skipped.
    """
    now_seconds = time.time() if now is None else now
    freed_bytes = 0
    for path in _iter_unused_files(runs_folder, now_seconds):
        with suppress(OSError):
            size = path.stat().st_size
            path.unlink()
            freed_bytes += size
    for folder in (
        *runs_folder.glob(".features/*"),
        *runs_folder.glob(".training/*"),
        *_iter_unfinished_runs(runs_folder),
    ):
        if folder.is_dir() and not any(path.is_file() for path in folder.rglob("*")):
            shutil.rmtree(folder, ignore_errors=True)
    return freed_bytes


def _iter_unused_files(runs_folder: Path, now_seconds: float) -> Iterator[Path]:
    """Yield unused files: feature shards, checkpoints, files of unfinished runs, and temporary files."""
    cache_files = (*runs_folder.glob(".features/*/*"), *runs_folder.glob(".training/*/*"))
    for path in sorted(
        (*cache_files, *(path for folder in _iter_unfinished_runs(runs_folder) for path in folder.rglob("*")))
    ):
        max_days = MAX_PARTIAL_FILE_DAYS if ".part" in path.name else MAX_UNUSED_DAYS
        with suppress(OSError):
            if path.is_file() and path.stat().st_mtime < now_seconds - max_days * DAY_SECONDS:
                yield path


def _iter_unfinished_runs(runs_folder: Path) -> Iterator[Path]:
    """Yield folders of training runs that never finished."""
    for folder in runs_folder.glob("*"):
        if RUN_VERSION_PATTERN.fullmatch(folder.name) and not (folder / RUN_FILE).exists():
            yield folder
