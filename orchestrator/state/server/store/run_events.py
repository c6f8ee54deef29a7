"""Read the events of a run in batches."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.state.protocol.records import StepEvent
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection
from orchestrator.state.server.store.queries import MAX_PAGE_SIZE


def last_event_sequence(store: Store, run: str) -> int:
    """Return the number of the newest stored event, which the record of an unfinished run does not contain."""
    with read_connection(store.engine) as connection:
        return int(connection.execute(select(t.runs.c.sequence).where(t.runs.c.id == run)).scalar() or 0)


def iter_events(store: Store, run: str, after_sequence: int = 0) -> Iterator[StepEvent]:
    """Yield all events after number ``after_sequence``, in order, read in batches."""
    while batch := store.list_events(run, after_sequence):
        yield from batch
        if len(batch) < MAX_PAGE_SIZE:
            return
        after_sequence = batch[-1].sequence
