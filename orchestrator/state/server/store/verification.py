"""Verify the history: its chain, its last entry, the events of every ended run, and the tables made from it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import msgspec
from sqlalchemy import Connection, Engine, select

from orchestrator.state.protocol.records import AuditEntry, RunResult
from orchestrator.state.server.store import history_chain, projection_check
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection
from orchestrator.state.server.store.event_hash import extend_hash


class EventHashVerifier:
    """Collects the results of runs from history entries, and verifies events against the newest result of a run."""

    def __init__(self) -> None:
        self.results: dict[str, RunResult] = {}

    def collect(self, entries: Iterable[AuditEntry]) -> Iterator[AuditEntry]:
        """Yield the entries unchanged, collecting results of runs."""
        for entry in entries:
            yield entry  # resumes once the consumer has verified the entry
            if entry.deed == "run.end":
                self.results[entry.subject] = msgspec.json.decode(entry.payload, type=RunResult)

    def verify_run(self, run: str, bodies: Iterable[str]) -> None:
        """Raise Problems if the events of a run differ from those at its end.

        A run marked as lost may have added events after its end.
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
            raise history_chain.tampering_problem(f"the events of run {run} were changed after they were written")


def verify_database(engine: Engine) -> tuple[int, str]:
    """Verify a database; return the number and hash of the last entry of its history.

    Raises Problems that name the first entry, run, or row of a table that was changed or is missing.
    """
    with read_connection(engine) as connection:
        verifier = EventHashVerifier()
        number, last_hash = history_chain.verify_entries(verifier.collect(history_chain.iter_entries(connection)))
        head = connection.execute(select(t.chain.c.number, t.chain.c.hash).where(t.chain.c.id == 1)).one()
        if head.number > number:
            raise history_chain.tampering_problem(f"entry {number + 1} of the history is missing")
        if (head.number, head.hash) != (number, last_hash):
            raise history_chain.tampering_problem(
                f"entry {number} of the history is not the last entry that was written"
            )
        for run in verifier.results:
            verifier.verify_run(run, iter_event_bodies(connection, run))
        verify_tables(connection)
        return number, last_hash


def verify_tables(connection: Connection) -> None:
    """Raise Problems that name the first row of a table that is not what the history says."""
    projection_check.verify_projections(connection, history_chain.iter_entries(connection))


def iter_event_bodies(connection: Connection, run: str) -> Iterator[str]:
    """Yield the stored events of a run, in order."""
    query = select(t.events.c.body).where(t.events.c.run == run).order_by(t.events.c.sequence)
    yield from connection.execute(query).scalars()
