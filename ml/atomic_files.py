"""Files that are either whole or not there, and their checksums.  Power may go at any line."""

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
    """Put ``content`` at ``path``; a reader sees the old file or the new one, never a part.

    Raises OSError.
    """
    create_atomic(path, lambda temp_path: temp_path.write_bytes(content))


def create_atomic(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``path`` (with the same ending), then put it in its place.

    Raises OSError, and whatever ``write`` raises; then nothing is left.
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
    """SHA-256 of a file, as 64 hexadecimal digits.

    Raises OSError.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def describe_os_error(error: OSError, activity: str, retry_command: str) -> Problems:
    """``error`` as a sentence: what was being done, and the command that goes on from here."""
    location = f" ({error.filename})" if error.filename else ""
    if error.errno in _DISK_FULL_CODES:
        return Problems.from_message(
            f"The disk is full: {activity}{location}. What was finished before is kept.",
            hint=f"make room, then: {retry_command}",
        )
    return Problems.from_message(f"{activity}{location}: {error.strerror or error}", hint=retry_command)
