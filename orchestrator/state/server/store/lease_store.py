"""Runs and leases in the database: who begins, who waits, who is overtaken."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, select, update

from orchestrator.state.protocol import leases as rules
from orchestrator.state.protocol.leases import Asking, Line
from orchestrator.state.protocol.records import Lease, Run, RunEnd
from orchestrator.state.protocol.requests import Standing
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.store import history_chain
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import Clock, inserting, now, writing
from orchestrator.state.server.store.projection import text

ABANDONED = 300.0
"""Seconds after its lease's end at which a run of which nothing was heard counts as lost."""


class UnknownRunError(LookupError):
    """There is no such run."""


class LineRow:
    """One environment's line, locked for the length of a transaction."""

    def __init__(self, connection: Connection, environment: str, line: Line) -> None:
        self._connection = connection
        self.environment = environment
        self.line = line

    def check(self, fence: int, at: float) -> None:
        """Raises LostLeaseError when ``fence`` may not write."""
        rules.checked(rules.current(self.line, at), fence)

    def give_back(self, run: str) -> None:
        """``run`` neither holds nor waits any more."""
        self.put(rules.give_back(self.line, run))

    def put(self, line: Line) -> None:
        """Write the line."""
        self.line = line
        where = t.leases.c.environment == self.environment
        self._connection.execute(update(t.leases).where(where).values(body=text(line)))


def line_of(connection: Connection, environment: str) -> LineRow:
    """The line of an environment, locked."""
    query = select(t.leases.c.body).where(t.leases.c.environment == environment).with_for_update()
    body = connection.execute(query).scalar()
    if body is None:
        empty = inserting(connection, t.leases).values(environment=environment, body=text(Line()))
        connection.execute(empty.on_conflict_do_nothing())
        body = connection.execute(query).scalar_one()
    return LineRow(connection, environment, msgspec.json.decode(body, type=Line))


class Holding:
    """The part of the store that decides who writes."""

    engine: Engine
    clock: Clock
    _tell: Callable[[Connection, str, str, str, str, object], None]
    _end: Callable[[Connection, Run, RunEnd, str], Run]

    def begin(self, run: Run, by: str, *, waits: bool = False, past: bool = False) -> Standing:
        """Write down that ``run`` begins, and ask for its environment's lease; the same again changes nothing.

        Older runs of the same verb and branch that still wait are superseded by it.  ``past``: the run was made
        without the service and takes no lease.

        Raises HeldError when it gets no lease and does not wait; then it is not written down.
        """
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            at = now(connection, self.clock)
            row = connection.execute(select(t.runs.c.body).where(t.runs.c.id == run.id)).scalar()
            if row is not None:
                known = msgspec.json.decode(row, type=Run)
                if past:
                    return Standing(known, Lease(run.environment, 0))
                return self._ask(connection, known, by, at, waits=waits)
            if past:
                self._tell(connection, by, "run.begin", run.environment, run.id, replace(run, status="running"))
                return Standing(run, Lease(run.environment, 0))
            return self._begin(connection, run, by, at, waits=waits)

    def ask(self, run_id: str, by: str, *, waits: bool = True) -> Standing:
        """Ask for the lease again, or show a sign of life when it is held.

        Raises UnknownRunError, and LostLeaseError when it was held and is another's now.
        """
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            run = msgspec.json.decode(self._run_row(connection, run_id).body, type=Run)
            return self._ask(connection, run, by, now(connection, self.clock), waits=waits)

    def beat(self, run_id: str, fence: int) -> Standing:
        """A sign of life of the holder.

        Raises UnknownRunError, LostLeaseError.
        """
        with writing(self.engine) as connection:
            run = msgspec.json.decode(self._run_row(connection, run_id).body, type=Run)
            row = line_of(connection, run.environment)
            row.put(rules.beat(row.line, fence, now(connection, self.clock)))
            return _standing(run, row.line)

    def free(self, environment: str, by: str) -> Lease:
        """Take the lease from whoever holds it: its next write is refused."""
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            row = line_of(connection, environment)
            if row.line.holder is not None:
                held = row.line.holder.run
                row.give_back(held)
                self._tell(connection, by, "lease.free", environment, held, {})
                self._lose(connection, held, by, now(connection, self.clock))
            return Lease(environment, row.line.fence, None, row.line.waiting)

    def sweep(self, by: str = "service") -> int:
        """End runs whose lease ended long ago and of which nothing was heard since; how many."""
        with writing(self.engine) as connection:
            history_chain.lock(connection)
            at = now(connection, self.clock)
            gone = 0
            for environment in connection.execute(select(t.leases.c.environment)).scalars().all():
                row = line_of(connection, environment)
                holder = row.line.holder
                if holder is not None and holder.until + ABANDONED < at:
                    row.give_back(holder.run)
                    self._lose(connection, holder.run, by, at)
                    gone += 1
            return gone

    def _begin(self, connection: Connection, run: Run, by: str, at: float, *, waits: bool) -> Standing:
        row = line_of(connection, run.environment)
        before = row.line
        self._supersede(connection, row, run, by, at)
        line = rules.take(row.line, _asking(run, waits=waits), at)
        held = line.holder is not None and line.holder.run == run.id
        row.put(line)
        if not held and not waits:
            raise rules.HeldError(line.holder)
        run = replace(run, status="running" if held else "queued")
        self._overtake(connection, before, line, by, at)
        self._tell(connection, by, "run.begin", run.environment, run.id, run)
        return _standing(run, line)

    def _ask(self, connection: Connection, run: Run, by: str, at: float, *, waits: bool) -> Standing:
        row = line_of(connection, run.environment)
        if run.is_over:
            return Standing(run, Lease(run.environment, row.line.fence, row.line.holder, row.line.waiting))
        mine = row.line.holder is not None and row.line.holder.run == run.id
        if run.status == "running" and not mine:
            raise rules.LostLeaseError(row.line.holder)
        before = row.line
        row.put(rules.take(row.line, _asking(run, waits=waits), at))
        self._overtake(connection, before, row.line, by, at)
        if row.line.holder is not None and row.line.holder.run == run.id and run.status == "queued":
            run = replace(run, status="running")
            self._tell(connection, by, "run.start", run.environment, run.id, run)
        return _standing(run, row.line)

    def _supersede(self, connection: Connection, row: LineRow, run: Run, by: str, at: float) -> None:
        query = select(t.runs.c.body).where(
            t.runs.c.environment == run.environment, t.runs.c.status == "queued", t.runs.c.id != run.id
        )
        for body in connection.execute(query.order_by(t.runs.c.started_at)).scalars().all():
            other = msgspec.json.decode(body, type=Run)
            same = (other.verb, other.ref) == (run.verb, run.ref) and run.verb == "deploy"
            if same and other.started_at <= run.started_at:
                end = RunEnd("superseded", stamp(at), superseded_by=run.id)
                row.give_back(other.id)
                self._end(connection, other, end, by)

    def _overtake(self, connection: Connection, before: Line, after: Line, by: str, at: float) -> None:
        """A holder that gave no sign of life has lost its run with its lease."""
        if before.holder and (after.holder is None or after.holder.run != before.holder.run):
            self._lose(connection, before.holder.run, by, at)

    def _lose(self, connection: Connection, run_id: str, by: str, at: float) -> None:
        body = connection.execute(select(t.runs.c.body).where(t.runs.c.id == run_id)).scalar()
        run = msgspec.json.decode(body, type=Run) if body else None
        if run is not None and not run.is_over:
            cause = "nothing was heard of it, and its lease ended"
            self._end(connection, run, RunEnd("lost", stamp(at), cause, "orchestrator plan"), by)

    @staticmethod
    def _run_row(connection: Connection, run_id: str) -> Any:
        columns = (t.runs.c.body, t.runs.c.sequence, t.runs.c.events_hash)
        row = connection.execute(select(*columns).where(t.runs.c.id == run_id).with_for_update()).first()
        if row is None:
            raise UnknownRunError(run_id)
        return row


def _asking(run: Run, *, waits: bool) -> Asking:
    reason = f"{run.verb} {run.commit[:12]}".strip()
    return Asking(run.id, run.by, run.reason or reason, run.url, waits)


def _standing(run: Run, line: Line) -> Standing:
    mine = line.holder is not None and line.holder.run == run.id
    fence = line.holder.fence if mine and line.holder else None
    return Standing(
        run, Lease(run.environment, line.fence, line.holder, line.waiting), fence, rules.position(line, run.id)
    )
