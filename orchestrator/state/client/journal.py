"""Keep the requests of a run in a file of JSON lines until the state service has all of them.

Each line is a request to the service; repeating one changes nothing.  The file is locked while its run is in progress.
"""

from __future__ import annotations

import fcntl
import os
import threading
from collections.abc import Iterator
from contextlib import suppress
from io import FileIO
from pathlib import Path
from typing import TYPE_CHECKING, Any, Self

import msgspec
from msgspec import Struct

from orchestrator import canonical_json
from orchestrator.problems import Problems

if TYPE_CHECKING:
    from orchestrator.state.client.api_client import StateClient

FORMAT = "orchestrator-journal/1"
JOURNAL_DIR = Path(".orchestrator") / "journal"
MAX_EVENTS_PER_REQUEST = 500
"""Number of events per request when a journal is submitted."""


class JournalEntry(Struct, frozen=True):
    """One request: ``method`` and ``path`` under ``/api/v1``."""

    method: str
    path: str
    body: Any = None
    format: str = FORMAT


class Journal:
    """An append-only file; each line is on disk before ``append`` returns.

    A disk that is full never stops a run: ``failure`` says why the journal is incomplete, "" while it is whole.
    """

    def __init__(self, path: Path) -> None:
        """Create the file, and its directory.  Raises Problems if it cannot be created."""
        self.path = path
        self.failure = ""
        self._lock = threading.Lock()
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
            if path.parent == JOURNAL_DIR:
                (JOURNAL_DIR.parent / ".gitignore").write_text("*\n")
            self._file: FileIO | None = path.open("ab", buffering=0)
            fcntl.flock(self._file, fcntl.LOCK_EX)
        except OSError as error:
            raise Problems.from_message(
                f"cannot write the journal {path}: {error.strerror}; nothing was changed",
                hint="free some disk space, or run the command in a writable directory",
            ) from None

    @classmethod
    def create_if_possible(cls, path: Path) -> Self:
        """Return a journal that discards its entries, and says why in ``failure``, if the file cannot be created."""
        try:
            return cls(path)
        except Problems as problems:
            discarding = cls.__new__(cls)
            discarding.path, discarding._lock, discarding._file = path, threading.Lock(), None
            discarding.failure = problems.problems[0].message.partition(";")[0]
            return discarding

    def append(self, method: str, path: str, body: object) -> None:
        """Append a request and sync it to disk; after a failed write discard all further ones."""
        encoded = canonical_json.dump(JournalEntry(method, path, msgspec.to_builtins(body))) + b"\n"
        with self._lock:
            if self._file is None or self.failure:
                return
            try:
                remaining = memoryview(encoded)
                while remaining:
                    remaining = remaining[self._file.write(remaining) or 0 :]
                os.fsync(self._file.fileno())
            except OSError as error:
                self.failure = f"cannot write the journal {self.path}: {error.strerror}"

    def close(self) -> None:
        """Close the file."""
        if self._file is not None:
            self._file.close()

    def remove(self) -> None:
        """Delete the file, and its directory if no other journals remain."""
        with suppress(OSError):  # such as a file system that has become read-only
            self.close()
            self.path.unlink(missing_ok=True)
        if self.path.parent == JOURNAL_DIR:
            with suppress(OSError):  # other journals remain
                JOURNAL_DIR.rmdir()
                (JOURNAL_DIR.parent / ".gitignore").unlink(missing_ok=True)
                JOURNAL_DIR.parent.rmdir()


def is_journal(first_line: bytes) -> bool:
    """Return whether a file with this first line is a journal."""
    try:
        return msgspec.json.decode(first_line, type=JournalEntry).format == FORMAT
    except canonical_json.DECODE_ERRORS:
        return False


def read_entries(path: Path) -> Iterator[JournalEntry]:
    """Yield the requests of a journal; skips a last line that a crash cut short.

    Raises Problems if any other line cannot be parsed.
    """
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line or (number == len(lines)):
            continue
        yield canonical_json.load(line, JournalEntry, f"{path}:{number}")


def submit(path: Path, client: StateClient) -> int:
    """Send every request of a journal; return the number of entries.  Records a killed run as lost.

    Raises Problems if its run is still in progress, or if the service refuses an entry.
    """
    journal_entries = list(read_entries(path))
    if not journal_entries:
        raise Problems.from_message(
            f"the journal {path} is empty: its run ended before it reported anything", hint=f"delete {path}"
        )
    _require_run_ended(path)
    for number, entry in _merge_event_batches(journal_entries + _build_missing_end(journal_entries)):
        try:
            client.request_json(entry.method, entry.path, entry.body)
        except Problems as error:
            problem = error.problems[0]
            raise Problems.from_message(f"{path}: entry {number}: {problem.message}", hint=problem.hint) from None
    return len(journal_entries)


def _require_run_ended(path: Path) -> None:
    with path.open("rb") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Problems.from_message(
                f"the run that writes the journal {path} is still in progress",
                hint="import the journal after the run ends",
            ) from None


def _merge_event_batches(journal_entries: list[JournalEntry]) -> Iterator[tuple[int, JournalEntry]]:
    """Yield the entries with their numbers, merging consecutive events into one request."""
    events: list[Any] = []
    for number, entry in enumerate(journal_entries, 1):
        if not entry.path.endswith("/events"):
            yield number, entry
            continue
        events += entry.body["events"]
        is_continued = number < len(journal_entries) and journal_entries[number].path == entry.path
        if not is_continued or len(events) >= MAX_EVENTS_PER_REQUEST:
            yield number, JournalEntry(entry.method, entry.path, {**entry.body, "events": events})
            events = []


def _build_missing_end(journal_entries: list[JournalEntry]) -> list[JournalEntry]:
    """Return the end of a run whose journal has none, else no entries."""
    begin_entry = next((entry for entry in journal_entries if entry.path == "/runs"), None)
    run = begin_entry.body["run"] if begin_entry else {"id": ""}
    if begin_entry is None or any(entry.path == f"/runs/{run['id']}/end" for entry in journal_entries):
        return []
    events = [event for entry in journal_entries if entry.path.endswith("/events") for event in entry.body["events"]]
    ended_at = events[-1]["at"] if events else run["started_at"]
    cause = "the run was killed: its journal is incomplete"
    result = {"status": "lost", "ended_at": ended_at, "cause": cause, "hint": "orchestrator plan"}
    return [JournalEntry("POST", f"/runs/{run['id']}/end", {"end": result})]
