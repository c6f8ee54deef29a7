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

_FULL = {errno.ENOSPC, errno.EDQUOT}


def write_whole(path: Path, content: bytes) -> None:
    """Put ``content`` at ``path``; a reader sees the old file or the new one, never a part.

    Raises OSError.
    """
    make_whole(path, lambda part: part.write_bytes(content))


def make_whole(path: Path, write: Callable[[Path], object]) -> None:
    """Let ``write`` make a file beside ``path`` (with the same ending), then put it in its place.

    Raises OSError, and whatever ``write`` raises; then nothing is left.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    part = path.with_name(f".{secrets.token_hex(4)}.part{path.suffix}")
    try:
        write(part)
        with part.open("rb+") as stream:
            os.fsync(stream.fileno())
        part.replace(path)
    except BaseException:
        with suppress(OSError):
            part.unlink(missing_ok=True)
        raise


def sha256(path: Path) -> str:
    """SHA-256 of a file, as 64 hexadecimal digits.

    Raises OSError.
    """
    with path.open("rb") as stream:
        return hashlib.file_digest(stream, "sha256").hexdigest()


def told(error: OSError, doing: str, again: str) -> Problems:
    """``error`` as a sentence: what was being done, and the command that goes on from here."""
    where = f" ({error.filename})" if error.filename else ""
    if error.errno in _FULL:
        return Problems.one(
            f"The disk is full: {doing}{where}. What was finished before is kept.",
            hint=f"make room, then: {again}",
        )
    return Problems.one(f"{doing}{where}: {error.strerror or error}", hint=again)
