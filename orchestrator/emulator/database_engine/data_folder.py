"""Create the folder of an engine's servers, and remove those that killed emulators have left in memory.

A lock of the operating system says whether an emulator still lives: unlike a process id it is never somebody else's,
and it ends with the last process that holds it, forks included.
"""

from __future__ import annotations

import fcntl
import os
import re
import shutil
import tempfile
from pathlib import Path
from typing import BinaryIO

FOLDER_PREFIX = "orchestrator-rds-"
LOCK_NAME = "lock"
MIN_MEMORY_BYTES = 2 * 1024**3
"""Free bytes that the folder in memory must have: a cluster is a thousand small files, and grows."""


def create_data_folder(parent: Path | None = None) -> tuple[Path, BinaryIO]:
    """Remove what dead emulators left below ``parent``, and return a new folder and its lock, which must stay open.

    ``parent`` is the folder for files in memory by default, or that for temporary files where there is too little.
    """
    memory = parent or find_memory_folder()
    if memory is not None:
        remove_abandoned(memory)
    folder = Path(tempfile.mkdtemp(prefix=f"{FOLDER_PREFIX}{os.getpid()}-", dir=memory))
    # Locked before it has its name, so that another emulator never finds it unlocked.
    lock = (folder / f"{LOCK_NAME}.new").open("wb")
    fcntl.flock(lock, fcntl.LOCK_EX)
    (folder / f"{LOCK_NAME}.new").rename(folder / LOCK_NAME)
    return folder, lock


def remove_abandoned(parent: Path) -> list[Path]:
    """Delete the folders below ``parent`` whose emulator is dead, and return them; another user's are left alone."""
    abandoned = [
        folder
        for folder in parent.glob(f"{FOLDER_PREFIX}*")
        if folder.is_dir() and not folder.is_symlink() and _is_abandoned(folder)
    ]
    for folder in abandoned:
        shutil.rmtree(folder, ignore_errors=True)
    return abandoned


def _is_abandoned(folder: Path) -> bool:
    try:
        with (folder / LOCK_NAME).open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return True
    except FileNotFoundError:  # of an emulator that is just starting, or was killed while it did
        match = re.match(rf"{FOLDER_PREFIX}(\d+)-", folder.name)
        return match is not None and not Path(f"/proc/{match[1]}").exists() and Path("/proc/self").exists()
    except OSError:
        return False


def find_memory_folder() -> Path | None:
    """Return a folder in memory with enough space, or None: a cluster is a thousand small files."""
    folder = Path("/dev/shm")  # noqa: S108 - only the parent of a folder of our own
    try:
        return folder if shutil.disk_usage(folder).free >= MIN_MEMORY_BYTES and os.access(folder, os.W_OK) else None
    except OSError:
        return None
