"""What the page of a run asks for: how far its events are, and all of them in batches."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import select

from orchestrator.state.protocol.records import StepEvent
from orchestrator.state.server.store import Store
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import reading
from orchestrator.state.server.store.queries import MOST


def last_event(store: Store, run: str) -> int:
    """The number of the newest event that is kept; a running run's record does not say it."""
    with reading(store.engine) as connection:
        return int(connection.execute(select(t.runs.c.sequence).where(t.runs.c.id == run)).scalar() or 0)


def each_event(store: Store, run: str, after: int = 0) -> Iterator[StepEvent]:
    """All events after number ``after``, in order, read in batches."""
    while batch := store.events(run, after):
        yield from batch
        if len(batch) < MOST:
            return
        after = batch[-1].sequence
