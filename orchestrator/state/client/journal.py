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
    from orchestrator.state.client.api_client import StateClient

FORMAT = "orchestrator-journal/1"
JOURNAL_DIR = Path(".orchestrator") / "journal"
MAX_EVENTS_PER_REQUEST = 500
"""Events that are handed in with one request."""


class JournalEntry(Struct, frozen=True):
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
            if path.parent == JOURNAL_DIR:
                (JOURNAL_DIR.parent / ".gitignore").write_text("*\n")
            self._file = path.open("ab")
        except OSError as error:
            raise Problems.from_message(f"no journal can be kept in {path}: {error.strerror}") from None
        fcntl.flock(self._file, fcntl.LOCK_EX)
        self.path = path
        self._lock = threading.Lock()

    def append(self, method: str, path: str, body: object) -> None:
        """Write one request down."""
        encoded = canonical_json.dump(JournalEntry(method, path, msgspec.to_builtins(body)))
        with self._lock:
            self._file.write(encoded + b"\n")
            self._file.flush()
            os.fsync(self._file.fileno())

    def close(self) -> None:
        """Nothing more comes."""
        self._file.close()

    def remove(self) -> None:
        """The service has all of it."""
        self.close()
        self.path.unlink(missing_ok=True)
        if self.path.parent == JOURNAL_DIR:
            with suppress(OSError):  # other journals are there
                JOURNAL_DIR.rmdir()
                (JOURNAL_DIR.parent / ".gitignore").unlink(missing_ok=True)
                JOURNAL_DIR.parent.rmdir()


def is_journal(first_line: bytes) -> bool:
    """Whether a file that begins with this line is a journal."""
    try:
        return msgspec.json.decode(first_line, type=JournalEntry).format == FORMAT
    except (msgspec.DecodeError, UnicodeDecodeError):
        return False


def read_entries(path: Path) -> Iterator[JournalEntry]:
    """The requests of a journal; a last line that was cut short by a crash is left out.

    Raises Problems: another line cannot be read.
    """
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line or (number == len(lines)):
            continue
        yield canonical_json.load(line, JournalEntry, f"{path}:{number}")


def submit(path: Path, client: StateClient) -> int:
    """Make every request of a journal; how many entries it has.  A run that was killed is recorded as lost.

    Raises Problems: its run goes on, or the service refuses an entry, which is named.
    """
    journal_entries = list(read_entries(path))
    if not journal_entries:
        raise Problems.from_message(f"{path} is empty: its run ended before it told anything", hint="delete it")
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
                f"the run of {path} still goes on", hint="hand it in when it has ended"
            ) from None


def _merge_event_batches(journal_entries: list[JournalEntry]) -> Iterator[tuple[int, JournalEntry]]:
    """The entries with their numbers; events that follow one another become one request."""
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
    """The end of a run that could not write it down."""
    begin_entry = next((entry for entry in journal_entries if entry.path == "/runs"), None)
    run = begin_entry.body["run"] if begin_entry else {"id": ""}
    if begin_entry is None or any(entry.path == f"/runs/{run['id']}/end" for entry in journal_entries):
        return []
    events = [event for entry in journal_entries if entry.path.endswith("/events") for event in entry.body["events"]]
    ended_at = events[-1]["at"] if events else run["started_at"]
    cause = "it was killed: its journal has no end"
    result = {"status": "lost", "ended_at": ended_at, "cause": cause, "hint": "orchestrator plan"}
    return [JournalEntry("POST", f"/runs/{run['id']}/end", {"end": result})]
