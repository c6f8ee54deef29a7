"""What the page of a run asks for: how far its events are, and all of them in batches."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.state.protocol.records import StepEvent
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection
from orchestrator.state.server.store.queries import MAX_PAGE_SIZE


def last_event_sequence(store: Store, run: str) -> int:
    """The number of the newest event that is kept; a running run's record does not say it."""
    with read_connection(store.engine) as connection:
        return int(connection.execute(select(t.runs.c.sequence).where(t.runs.c.id == run)).scalar() or 0)


def iter_events(store: Store, run: str, after_sequence: int = 0) -> Iterator[StepEvent]:
    """All events after number ``after``, in order, read in batches."""
    while batch := store.list_events(run, after_sequence):
        yield from batch
        if len(batch) < MAX_PAGE_SIZE:
            return
        after_sequence = batch[-1].sequence
