"""Whether all is as it was written: the chain, its end, and the events of every run that is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Connection, Engine, select

from orchestrator.state.protocol.records import AuditEntry, RunEnd
from orchestrator.state.server.store import history_chain
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import reading
from orchestrator.state.server.store.event_hash import woven


class Seals:
    """What the entries that pass by say of runs' events; the newest end of a run counts."""

    def __init__(self) -> None:
        self.ends: dict[str, RunEnd] = {}

    def noting(self, entries: Iterable[AuditEntry]) -> Iterator[AuditEntry]:
        """The entries as they come."""
        for entry in entries:
            yield entry  # and back here once whoever reads has found it whole
            if entry.deed == "run.end":
                self.ends[entry.subject] = msgspec.json.decode(entry.payload, type=RunEnd)

    def check(self, run: str, bodies: Iterable[str]) -> None:
        """Raise Problems when the events of ``run`` are not those that it had at its end.

        A run that was given up as lost may have told more after it.
        """
        end = self.ends[run]
        hashed, seen = "", {""}
        for body in bodies:
            hashed = woven(hashed, body)
            seen.add(hashed)
        if end.events_hash and hashed != end.events_hash and not (end.status == "lost" and end.events_hash in seen):
            raise history_chain.broken(f"the events of run {run} are not as they were written")


def check(engine: Engine) -> tuple[int, str]:
    """The number and hash of the history's last link.

    Raises Problems naming the first thing that is not as it was written.
    """
    with reading(engine) as connection:
        seals = Seals()
        number, last = history_chain.verify(seals.noting(history_chain.entries(connection)))
        known = connection.execute(select(t.chain.c.number, t.chain.c.hash).where(t.chain.c.id == 1)).one()
        if known.number > number:
            raise history_chain.broken(f"entry {number + 1} of the history is missing")
        if (known.number, known.hash) != (number, last):
            raise history_chain.broken(f"entry {number} of the history is not the last that was written")
        for run in seals.ends:
            seals.check(run, bodies(connection, run))
        return number, last


def bodies(connection: Connection, run: str) -> Iterator[str]:
    """The events of a run as they are kept, in order."""
    query = select(t.events.c.body).where(t.events.c.run == run).order_by(t.events.c.sequence)
    yield from connection.execute(query).scalars()
