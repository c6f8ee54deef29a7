"""What a run tells, as JSON lines in a file: kept while the service has not all of it, handed in later.

Each line is a request to the service; every one of them may be made twice.  The file is locked while its run goes on.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any

import msgspec
from msgspec import Struct

from orchestrator import canonical_json
from orchestrator.problems import Problems

if TYPE_CHECKING:
    from orchestrator.state.client.api_client import Client

FORMAT = "orchestrator-journal/1"
FOLDER = Path(".orchestrator") / "journal"
AT_ONCE = 500
"""Events that are handed in with one request."""


class Entry(Struct, frozen=True):
    """One request: ``method`` and ``path`` under ``/api/v1``."""

    method: str
    path: str
    body: Any = None
    format: str = FORMAT


class Journal:
    """A file that is added to; each line is on the disk before ``add`` returns."""

    def __init__(self, path: Path) -> None:
        """Raises Problems when there can be no such file."""
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent == FOLDER:
                (FOLDER.parent / ".gitignore").write_text("*\n")
            self._file = path.open("ab")
        except OSError as error:
            raise Problems.one(f"no journal can be kept in {path}: {error.strerror}") from None
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.path = path
        self._lock = threading.Lock()

    def add(self, method: str, path: str, body: object) -> None:
        """Write one request down."""
        line = canonical_json.dump(Entry(method, path, msgspec.to_builtins(body)))
        with self._lock:
            self._file.write(line + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()

    def remove(self) -> None:
        """The service has all of it."""
        self.close()
        self.path.unlink(missing_ok=True)
        if self.path.parent == FOLDER:
            with suppress(OSError):  # other journals are there
                FOLDER.rmdir()
                (FOLDER.parent / ".gitignore").unlink(missing_ok=True)
                FOLDER.parent.rmdir()


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
        yield canonical_json.load(line, Entry, f"{path}:{number}")


def hand_in(path: Path, client: Client) -> int:
    """Make every request of a journal; how many entries it has.  A run that was killed is recorded as lost.

    Raises Problems: its run goes on, or the service refuses an entry, which is named.
    """
    found = list(entries(path))
    if not found:
        raise Problems.one(f"{path} is empty: its run ended before it told anything", hint="delete it")
    _demand_over(path)
    for number, entry in _together(found + _end(found)):
        try:
            client.call(entry.method, entry.path, entry.body)
        except Problems as error:
            first = error.problems[0]
            raise Problems.one(f"{path}: entry {number}: {first.message}", hint=first.hint) from None
    return len(found)


def _demand_over(path: Path) -> None:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problems.one(f"the run of {path} still goes on", hint="hand it in when it has ended") from None


def _together(found: list[Entry]) -> Iterator[tuple[int, Entry]]:
    """The entries with their numbers; events that follow one another become one request."""
    events: list[Any] = []
    for number, entry in enumerate(found, 1):
        if not entry.path.endswith("/events"):
            yield number, entry
            continue
        events += entry.body["events"]
        follows = number < len(found) and found[number].path == entry.path
        if not follows or len(events) >= AT_ONCE:
            yield number, Entry(entry.method, entry.path, {**entry.body, "events": events})
            events = []


def _end(found: list[Entry]) -> list[Entry]:
    """The end of a run that could not write it down."""
    begun = next((entry for entry in found if entry.path == "/runs"), None)
    run = begun.body["run"] if begun else {"id": ""}
    if begun is None or any(entry.path == f"/runs/{run['id']}/end" for entry in found):
        return []
    told = [event for entry in found if entry.path.endswith("/events") for event in entry.body["events"]]
    at = told[-1]["at"] if told else run["started_at"]
    cause = "it was killed: its journal has no end"
    end = {"status": "lost", "ended_at": at, "cause": cause, "hint": "orchestrator plan"}
    return [Entry("POST", f"/runs/{run['id']}/end", {"end": end})]
