"""Write files atomically, so that a crash never leaves a partial file, and compute their checksums."""

from __future__ import annotations

import errno
import hashlib
import os
import secrets
from collections.abc import Callable
from contextlib import suppress
from pathlib import Path

from orchestrator.problems import Problems

_DISK_FULL_CODES = {errno.ENOSPC, errno.EDQUOT}


def write_atomic(path: Path, content: bytes) -> None:
    """Write ``content`` to ``path`` atomically: readers see the old file or the new one, never a partial one.

    Raises OSError.
    """
    create_atomic(path, lambda temp_path: temp_path.write_bytes(content))


def create_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` create a temporary file beside ``path`` (same extension), then rename it to ``path``.

    Raises OSError, and whatever ``write`` raises; the temporary file is removed in that case.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    temp_path = path.with_name(f".{secrets.token_hex(4)}.part{path.suffix}")
    try:
        write(temp_path)
        with temp_path.open("rb+") as stream:
            os.fsync(stream.fileno())
        temp_path.replace(path)
    except BaseException:
        with suppress(OSError):
            temp_path.unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """Return the SHA-256 of a file as 64 hexadecimal digits.

    Raises OSError.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_os_error(error: OSError, activity: str, retry_command: str) -> Problems:
    """Return ``error`` as Problems; ``activity`` says what failed, ``retry_command`` becomes the hint."""
    location = f" ({error.filename})" if error.filename else ""
    if error.errno in _DISK_FULL_CODES:
        return Problems.from_message(
            f"the disk is full: {activity}{location}; completed work is kept",
            hint=f"free some disk space, then run: {retry_command}",
        )
    return Problems.from_message(f"{activity}{location}: {error.strerror or error}", hint=f"run again: {retry_command}")
