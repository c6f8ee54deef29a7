"""What a run tells, as JSON lines in a file: kept when the service is away, handed in later.

Each line is a request to the service; every one of them may be made twice.
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec

from orchestrator import wire
from orchestrator.problems import Problems

if TYPE_CHECKING:
    from orchestrator.state.client import Client

FORMAT = "orchestrator-journal/1"
FOLDER = Path(".orchestrator") / "journal"


@dataclass(frozen=True, slots=True)
class Entry:
    """One request: ``method`` and ``path`` under ``/api/v1``."""

    method: str
    path: str
    body: Any = None
    format: str = FORMAT


class Journal:
    """A file that is added to; each line is on the disk before ``add`` returns."""

    def __init__(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        self.path = path
        self._file = path.open("ab")
        self._lock = threading.Lock()

    def add(self, method: str, path: str, body: object) -> None:
        """Write one request down."""
        line = wire.dump(Entry(method, path, msgspec.to_builtins(body)))
        with self._lock:
            self._file.write(line + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()


def is_one(first: bytes) -> bool:
    """Whether a file that begins with this line is a journal."""
    try:
        return msgspec.json.decode(first, type=Entry).format == FORMAT
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def entries(path: Path) -> Iterator[Entry]:
    """The requests of a journal; a last line that was cut short by a crash is left out.

    Raises Problems: another line cannot be read.
    """
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line or (number == len(lines)):
            continue
        yield wire.load(line, Entry, f"{path}:{number}")


def hand_in(path: Path, client: Client) -> int:
    """Make every request of a journal; how many.

    Raises Problems when the service refuses one, naming it.
    """
    count = 0
    for count, entry in enumerate(entries(path), 1):
        try:
            client.call(entry.method, entry.path, entry.body)
        except Problems as error:
            first = error.problems[0]
            raise Problems.one(f"{path}: entry {count}: {first.message}", hint=first.hint) from None
    return count
