"""Whether all is as it was written: the chain, its end, and the events of every run that is over."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Connection, Engine, select

from orchestrator.state.protocol.records import AuditEntry, RunResult
from orchestrator.state.server.store import history_chain
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection
from orchestrator.state.server.store.event_hash import extend_hash


class EventHashVerifier:
    """What the entries that pass by say of runs' events; the newest end of a run counts."""

    def __init__(self) -> None:
        self.results: dict[str, RunResult] = {}

    def collect(self, entries: Iterable[AuditEntry]) -> Iterator[AuditEntry]:
        """The entries as they come."""
        for entry in entries:
            yield entry  # and back here once whoever reads has found it whole
            if entry.deed == "run.end":
                self.results[entry.subject] = msgspec.json.decode(entry.payload, type=RunResult)

    def verify_run(self, run: str, bodies: Iterable[str]) -> None:
        """Raise Problems when the events of ``run`` are not those that it had at its end.

        A run that was given up as lost may have told more after it.
        """
        result = self.results[run]
        events_hash, hashes = "", {""}
        for body in bodies:
            events_hash = extend_hash(events_hash, body)
            hashes.add(events_hash)
        if (
            result.events_hash
            and events_hash != result.events_hash
            and not (result.status == "lost" and result.events_hash in hashes)
        ):
            raise history_chain.tampering_problem(f"the events of run {run} are not as they were written")


def verify_database(engine: Engine) -> tuple[int, str]:
    """The number and hash of the history's last link.

    Raises Problems naming the first thing that is not as it was written.
    """
    with read_connection(engine) as connection:
        verifier = EventHashVerifier()
        number, last_hash = history_chain.verify_entries(verifier.collect(history_chain.iter_entries(connection)))
        head = connection.execute(select(t.chain.c.number, t.chain.c.hash).where(t.chain.c.id == 1)).one()
        if head.number > number:
            raise history_chain.tampering_problem(f"entry {number + 1} of the history is missing")
        if (head.number, head.hash) != (number, last_hash):
            raise history_chain.tampering_problem(f"entry {number} of the history is not the last that was written")
        for run in verifier.results:
            verifier.verify_run(run, iter_event_bodies(connection, run))
        return number, last_hash


def iter_event_bodies(connection: Connection, run: str) -> Iterator[str]:
    """The events of a run as they are kept, in order."""
    query = select(t.events.c.body).where(t.events.c.run == run).order_by(t.events.c.sequence)
    yield from connection.execute(query).scalars()
