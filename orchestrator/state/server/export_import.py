"""The history as JSON lines, out and in again; rebuilding from an export gives the same pages."""

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
from orchestrator.state.server.store.database import reading, writing
from orchestrator.state.server.store.projection import project, text
from orchestrator.state.server.store.store import put_events
from orchestrator.state.server.store.verification import Seals, bodies

FORMAT = "orchestrator-history/1"


class Line(Struct, frozen=True):
    """One line: the ``format`` first, then entries, and the ``events`` of a ``run`` before the entry of its end."""

    format: str = ""
    entry: AuditEntry | None = None
    run: str = ""
    events: tuple[StepEvent, ...] = ()


def export(store: Store) -> Iterator[bytes]:
    """The lines, each ending with a newline."""
    yield _line(Line(FORMAT))
    with reading(store.engine) as connection:
        told: set[str] = set()
        for entry in history_chain.entries(connection):
            if entry.deed == "run.end" and entry.subject not in told:
                told.add(entry.subject)  # a run that was given up as lost may have a second end
                yield from _events(store, entry.subject)
            yield _line(Line(entry=entry))
    for page in _open_runs(store):
        yield from _events(store, page)


def read(lines: Iterable[bytes], source: str = "the export") -> Iterator[Line]:
    """The lines of an export.

    Raises Problems: it is none, or a line cannot be read.
    """
    for number, data in enumerate(lines, 1):
        line = canonical_json.load(data, Line, f"{source}:{number}")
        if number == 1 and line.format != FORMAT:
            raise Problems.one(f"{source} is no history that was exported", hint="orchestrator history export")
        yield line


def verify(lines: Iterable[Line]) -> tuple[int, str]:
    """The number and hash of the last link of an export.

    Raises Problems naming the first link that is broken.
    """
    seals, told = Seals(), dict[str, list[str]]()

    def through() -> Iterator[AuditEntry]:
        for line in lines:
            if line.events:
                told.setdefault(line.run, []).extend(text(event) for event in line.events)
            if line.entry is not None:
                yield line.entry
                if line.entry.deed == "run.end":
                    seals.check(line.entry.subject, told.get(line.entry.subject, ()))

    return history_chain.verify(seals.noting(through()))


def restore(store: Store, lines: Iterable[Line]) -> int:
    """Rebuild an empty store from an export, checking the chain on the way; how many entries.

    Raises Problems: the store is not empty, or the chain is broken.  Then nothing was written.
    """
    with writing(store.engine) as connection:
        if history_chain.lock(connection)[0]:
            raise Problems.one("there is a history here already; nothing was imported", hint="import into a new one")

        seals = Seals()

        def through() -> Iterator[AuditEntry]:
            for line in lines:
                if line.events:
                    known: Any = select(t.runs.c.sequence, t.runs.c.events_hash).where(t.runs.c.id == line.run)
                    row = connection.execute(known).one()
                    put_events(connection, line.run, row.sequence, row.events_hash, list(line.events))
                if line.entry is not None:
                    yield line.entry  # and back here once it is found to be the next
                    history_chain.put(connection, line.entry)
                    project(connection, line.entry)
                    if line.entry.deed == "run.end":
                        seals.check(line.entry.subject, bodies(connection, line.entry.subject))

        return history_chain.verify(seals.noting(through()))[0]


def _line(line: Line) -> bytes:
    return msgspec.json.encode(line) + b"\n"


def _events(store: Store, run: str) -> Iterator[bytes]:
    after = 0
    while found := store.events(run, after):
        yield _line(Line(run=run, events=found))
        after = found[-1].sequence


def _open_runs(store: Store) -> list[str]:
    with reading(store.engine) as connection:
        return list(connection.execute(select(t.runs.c.id).where(t.runs.c.ended_at == "")).scalars())
