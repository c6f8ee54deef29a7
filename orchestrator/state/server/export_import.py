"""Export the history as JSON lines, verify an export, and rebuild a database from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any

import msgspec
from msgspec import Struct
from sqlalchemy import select

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.state.protocol.records import AuditEntry, StepEvent
from orchestrator.state.server.store import Store, history_chain
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection, write_transaction
from orchestrator.state.server.store.projection import project_entry, to_json
from orchestrator.state.server.store.store import insert_events
from orchestrator.state.server.store.verification import EventHashVerifier, iter_event_bodies

FORMAT = "orchestrator-history/2"


class ExportEnd(Struct, frozen=True):
    """The number and hash of the last entry of an export."""

    number: int
    hash: str


class ExportLine(Struct, frozen=True):
    """One line: first the ``format``, then entries, last the ``end``.

    The ``events`` of a ``run`` come before the entry of its end.
    """

    format: str = ""
    entry: AuditEntry | None = None
    run: str = ""
    events: tuple[StepEvent, ...] = ()
    end: ExportEnd | None = None


def export_history(store: Store) -> Iterator[bytes]:
    """Yield the lines of an export, each with a trailing newline."""
    yield _encode_line(ExportLine(FORMAT))
    end = ExportEnd(0, history_chain.GENESIS_HASH)
    with read_connection(store.engine) as connection:
        exported_runs: set[str] = set()
        for entry in history_chain.iter_entries(connection):
            if entry.deed == "run.end" and entry.subject not in exported_runs:
                exported_runs.add(entry.subject)  # a lost run may have a second end
                yield from _export_events(store, entry.subject)
            yield _encode_line(ExportLine(entry=entry))
            end = ExportEnd(entry.number, entry.hash)
    for open_run in _list_open_runs(store):
        yield from _export_events(store, open_run)
    yield _encode_line(ExportLine(end=end))


def read_export(lines: Iterable[bytes], source: str = "the export") -> Iterator[ExportLine]:
    """Yield the parsed lines of an export.

    Raises Problems if it is not an export, a line cannot be parsed, or its end is missing.
    """
    last_entry, end = ExportEnd(0, history_chain.GENESIS_HASH), None
    for number, data in enumerate(lines, 1):
        line = canonical_json.load(data, ExportLine, f"{source}:{number}")
        if number == 1 and line.format != FORMAT:
            raise Problems.from_message(
                f"{source} is not a history export", hint="create one with `orchestrator history export`"
            )
        if line.entry is not None:
            last_entry = ExportEnd(line.entry.number, line.entry.hash)
        end = line.end
        yield line
    if end != last_entry:
        raise Problems.from_message(
            f"{source} is incomplete: its end is missing", hint="create a new one with `orchestrator history export`"
        )


def verify_export(lines: Iterable[ExportLine]) -> tuple[int, str]:
    """Return the number and hash of the last entry of an export.

    Raises Problems that name the first entry that was changed or is missing.
    """
    verifier, events_by_run = EventHashVerifier(), dict[str, list[str]]()

    def iter_entries() -> Iterator[AuditEntry]:
        for line in lines:
            if line.events:
                events_by_run.setdefault(line.run, []).extend(to_json(event) for event in line.events)
            if line.entry is not None:
                yield line.entry
                if line.entry.deed == "run.end":
                    verifier.verify_run(line.entry.subject, events_by_run.get(line.entry.subject, ()))

    return history_chain.verify_entries(verifier.collect(iter_entries()))


def import_history(store: Store, lines: Iterable[ExportLine]) -> int:
    """Rebuild an empty store from an export, verifying the chain; return the number of entries.

    Raises Problems if the store is not empty or the chain is broken; nothing is written then.
    """
    with write_transaction(store.engine) as connection:
        if history_chain.lock_chain(connection)[0]:
            raise Problems.from_message(
                "this database already has a history; nothing was imported", hint="import into an empty database"
            )

        verifier = EventHashVerifier()

        def import_entries() -> Iterator[AuditEntry]:
            for line in lines:
                if line.events:
                    query: Any = select(t.runs.c.sequence, t.runs.c.events_hash).where(t.runs.c.id == line.run)
                    row = connection.execute(query).one()
                    insert_events(connection, line.run, row.sequence, row.events_hash, list(line.events))
                if line.entry is not None:
                    yield line.entry  # resumes once the consumer has verified the entry
                    history_chain.insert_entry(connection, line.entry)
                    project_entry(connection, line.entry)
                    if line.entry.deed == "run.end":
                        verifier.verify_run(line.entry.subject, iter_event_bodies(connection, line.entry.subject))

        return history_chain.verify_entries(verifier.collect(import_entries()))[0]


def _encode_line(line: ExportLine) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _export_events(store: Store, run: str) -> Iterator[bytes]:
    after_sequence = 0
    while batch := store.list_events(run, after_sequence):
        yield _encode_line(ExportLine(run=run, events=batch))
        after_sequence = batch[-1].sequence


def _list_open_runs(store: Store) -> list[str]:
    with read_connection(store.engine) as connection:
        return list(connection.execute(select(t.runs.c.id).where(t.runs.c.ended_at == "")).scalars())
