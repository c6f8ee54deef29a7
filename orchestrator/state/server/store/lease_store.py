"""Begin runs and manage their leases in the database."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import msgspec
from msgspec.structs import replace
from sqlalchemy import Connection, Engine, select, update

from orchestrator.state.protocol import lease_queue
from orchestrator.state.protocol.lease_queue import LeaseRequest, LeaseState
from orchestrator.state.protocol.records import Lease, Run, RunResult
from orchestrator.state.protocol.requests import RevokedLease, RunLeaseStatus
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import history_chain
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import Clock, current_time, dialect_insert, write_transaction
from orchestrator.state.server.store.projection import to_json

LOST_RUN_GRACE_SECONDS = 300.0
"""Seconds after the expiry of its lease at which a silent run counts as lost."""

EXPIRED_CAUSE = "the run stopped responding and its lock expired"


class UnknownRunError(LookupError):
    """There is no such run."""


class FenceRequiredError(Exception):
    """A write to a run that holds the lease does not contain its fence."""


class NotRunOwnerError(Exception):
    """A client writes to a run that another client began and that has not ended."""


class LockedLease:
    """The lease row of one environment, locked until the transaction ends."""

    def __init__(self, connection: Connection, environment: str, state: LeaseState) -> None:
        self._connection = connection
        self.environment = environment
        self.state = state

    def check_writer(self, run: str, fence: int | None, actor: str | None, timestamp: float) -> None:
        """Check that ``actor`` may write to ``run``; ``timestamp`` in Unix seconds.

        Only the client that began a run may, and with its fence once the run holds the lease.  A run that neither holds
        the lease nor waits for it comes from a journal.  ``actor`` None is this process.

        Raises LostLeaseError if ``fence`` is not that of the holder, FenceRequiredError, NotRunOwnerError.
        """
        self.check_owner(run, actor)
        if fence is not None:
            lease_queue.require_holder(lease_queue.drop_expired(self.state, timestamp), fence)
        elif self.state.holder is not None and self.state.holder.run == run:
            raise FenceRequiredError(run)

    def check_owner(self, run: str, actor: str | None) -> None:
        """Raise NotRunOwnerError if another client than ``actor`` began ``run``."""
        entries = (*((self.state.holder,) if self.state.holder else ()), *self.state.waiting)
        owners = [entry.identity for entry in entries if entry.run == run and entry.identity]
        if actor is not None and any(owner != actor for owner in owners):
            raise NotRunOwnerError(run)

    def remove_run(self, run: str) -> None:
        """Remove a run, whether it holds or waits."""
        self.save(lease_queue.remove_run(self.state, run))

    def save(self, state: LeaseState) -> None:
        """Write the state to the database."""
        self.state = state
        is_environment = t.leases.c.environment == self.environment
        self._connection.execute(update(t.leases).where(is_environment).values(body=to_json(state)))


def lock_lease(connection: Connection, environment: str) -> LockedLease:
    """Lock and return the lease row of an environment, creating it if needed."""
    query = select(t.leases.c.body).where(t.leases.c.environment == environment).with_for_update()
    body = connection.execute(query).scalar()
    if body is None:
        empty_row = dialect_insert(connection, t.leases).values(environment=environment, body=to_json(LeaseState()))
        connection.execute(empty_row.on_conflict_do_nothing())
        body = connection.execute(query).scalar_one()
    return LockedLease(connection, environment, msgspec.json.decode(body, type=LeaseState))


class LeaseStore:
    """The part of the store that begins runs and grants leases."""

    engine: Engine
    clock: Clock
    _append_history: Callable[[Connection, str, str, str, str, object], None]
    _end_run: Callable[[Connection, Run, RunResult, str], Run]

    def begin_run(self, run: Run, actor: str, *, can_wait: bool = False, from_journal: bool = False) -> RunLeaseStatus:
        """Begin a run and request the lease of its environment; repeating the call changes nothing.

        Supersedes older queued deploys of the same branch.  ``from_journal``: the run was made without the service and
        needs no lease.

        Raises LeaseHeldError if the lease is held and the run cannot wait; then the run is not recorded.
        NotRunOwnerError if another client, or another environment, has a run with this ID.
        """
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            timestamp = current_time(connection, self.clock)
            row = connection.execute(select(t.runs.c.body).where(t.runs.c.id == run.id)).scalar()
            if row is not None:
                existing = msgspec.json.decode(row, type=Run)
                if existing.environment != run.environment:
                    raise NotRunOwnerError(run.id)
                if from_journal:
                    return RunLeaseStatus(existing, Lease(run.environment, 0))
                return self._acquire_lease(connection, existing, actor, timestamp, can_wait=can_wait)
            if from_journal:
                self._append_history(
                    connection, actor, "run.begin", run.environment, run.id, replace(run, status="running")
                )
                return RunLeaseStatus(run, Lease(run.environment, 0))
            return self._start_run(connection, run, actor, timestamp, can_wait=can_wait)

    def request_lease(self, run_id: str, actor: str, *, can_wait: bool = True) -> RunLeaseStatus:
        """Request the lease again, or renew it if the run holds it.

        Raises UnknownRunError, and LostLeaseError if the run has lost the lease.
        """
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            run = msgspec.json.decode(self._lock_run(connection, run_id).body, type=Run)
            return self._acquire_lease(connection, run, actor, current_time(connection, self.clock), can_wait=can_wait)

    def renew_lease(self, run_id: str, fence: int, actor: str | None = None) -> RunLeaseStatus:
        """Renew the lease of the holder.

        Raises UnknownRunError, LostLeaseError if ``fence`` is not that of the holder, NotRunOwnerError.
        """
        with write_transaction(self.engine) as connection:
            run = msgspec.json.decode(self._lock_run(connection, run_id).body, type=Run)
            lease = lock_lease(connection, run.environment)
            lease.check_owner(run_id, actor)
            lease.save(lease_queue.renew(lease.state, fence, current_time(connection, self.clock)))
            return _lease_status(run, lease.state)

    def revoke_lease(self, environment: str, actor: str, reason: str = "", person: str = "") -> RevokedLease:
        """Revoke the lease: the next write of its holder is refused, and its run is marked as lost.

        The history keeps ``reason`` and, if a token acts for somebody, ``person``.
        """
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            lease = lock_lease(connection, environment)
            holder = lease.state.holder
            if holder is None:
                return RevokedLease(environment)
            lease.remove_run(holder.run)
            details = {"reason": reason, "person": person, "owner": holder.owner}
            self._append_history(connection, actor, "lease.free", environment, holder.run, details)
            cause = f"{person or actor} released its lock{f': {reason}' if reason else ''}"
            self._mark_lost(connection, holder.run, actor, current_time(connection, self.clock), cause)
            return RevokedLease(environment, holder.run, holder.owner)

    def end_lost_runs(self, actor: str = "service") -> int:
        """Mark silent runs as lost LOST_RUN_GRACE_SECONDS after their leases expired; return their number."""
        with write_transaction(self.engine) as connection:
            history_chain.lock_chain(connection)
            timestamp = current_time(connection, self.clock)
            lost_count = 0
            for environment in connection.execute(select(t.leases.c.environment)).scalars().all():
                lease = lock_lease(connection, environment)
                holder = lease.state.holder
                if holder is not None and holder.until + LOST_RUN_GRACE_SECONDS < timestamp:
                    lease.remove_run(holder.run)
                    self._mark_lost(connection, holder.run, actor, timestamp)
                    lost_count += 1
            return lost_count

    def _start_run(
        self, connection: Connection, run: Run, actor: str, timestamp: float, *, can_wait: bool
    ) -> RunLeaseStatus:
        lease = lock_lease(connection, run.environment)
        previous_state = lease.state
        self._supersede_queued_runs(connection, lease, run, actor, timestamp)
        new_state = lease_queue.acquire(lease.state, _lease_request(run, actor, can_wait=can_wait), timestamp)
        is_holder = new_state.holder is not None and new_state.holder.run == run.id
        lease.save(new_state)
        if not is_holder and not can_wait:
            raise lease_queue.LeaseHeldError(new_state.holder)
        run = replace(run, status="running" if is_holder else "queued")
        self._end_evicted_run(connection, previous_state, new_state, actor, timestamp)
        self._append_history(connection, actor, "run.begin", run.environment, run.id, run)
        return _lease_status(run, new_state)

    def _acquire_lease(
        self, connection: Connection, run: Run, actor: str, timestamp: float, *, can_wait: bool
    ) -> RunLeaseStatus:
        lease = lock_lease(connection, run.environment)
        if run.is_over:
            return RunLeaseStatus(
                run, Lease(run.environment, lease.state.fence, lease.state.holder, lease.state.waiting)
            )
        is_holder = lease.state.holder is not None and lease.state.holder.run == run.id
        if run.status == "running" and not is_holder:
            raise lease_queue.LostLeaseError(lease.state.holder)
        previous_state = lease.state
        lease.check_owner(run.id, actor)
        lease.save(lease_queue.acquire(lease.state, _lease_request(run, actor, can_wait=can_wait), timestamp))
        self._end_evicted_run(connection, previous_state, lease.state, actor, timestamp)
        if lease.state.holder is not None and lease.state.holder.run == run.id and run.status == "queued":
            run = replace(run, status="running")
            self._append_history(connection, actor, "run.start", run.environment, run.id, run)
        return _lease_status(run, lease.state)

    def _supersede_queued_runs(
        self, connection: Connection, lease: LockedLease, run: Run, actor: str, timestamp: float
    ) -> None:
        query = select(t.runs.c.body).where(
            t.runs.c.environment == run.environment, t.runs.c.status == "queued", t.runs.c.id != run.id
        )
        for body in connection.execute(query.order_by(t.runs.c.started_at)).scalars().all():
            other = msgspec.json.decode(body, type=Run)
            is_same_deploy = (other.verb, other.ref) == (run.verb, run.ref) and run.verb == "deploy"
            if is_same_deploy and other.started_at <= run.started_at:
                result = RunResult("superseded", format_timestamp(timestamp), superseded_by=run.id)
                lease.remove_run(other.id)
                self._end_run(connection, other, result, actor)

    def _end_evicted_run(
        self, connection: Connection, previous: LeaseState, current: LeaseState, actor: str, timestamp: float
    ) -> None:
        """Mark the run of a replaced holder as lost."""
        if previous.holder and (current.holder is None or current.holder.run != previous.holder.run):
            self._mark_lost(connection, previous.holder.run, actor, timestamp)

    def _mark_lost(
        self, connection: Connection, run_id: str, actor: str, timestamp: float, cause: str = EXPIRED_CAUSE
    ) -> None:
        body = connection.execute(select(t.runs.c.body).where(t.runs.c.id == run_id)).scalar()
        run = msgspec.json.decode(body, type=Run) if body else None
        if run is not None and not run.is_over:
            self._end_run(
                connection, run, RunResult("lost", format_timestamp(timestamp), cause, "orchestrator plan"), actor
            )

    @staticmethod
    def _lock_run(connection: Connection, run_id: str) -> Any:
        columns = (t.runs.c.body, t.runs.c.sequence, t.runs.c.events_hash)
        row = connection.execute(select(*columns).where(t.runs.c.id == run_id).with_for_update()).first()
        if row is None:
            raise UnknownRunError(run_id)
        return row


def _lease_request(run: Run, actor: str, *, can_wait: bool) -> LeaseRequest:
    reason = f"{run.verb} {run.commit[:12]}".strip()
    return LeaseRequest(run.id, run.by, run.reason or reason, run.url, can_wait, actor)


def _lease_status(run: Run, state: LeaseState) -> RunLeaseStatus:
    is_holder = state.holder is not None and state.holder.run == run.id
    fence = state.holder.fence if is_holder and state.holder else None
    return RunLeaseStatus(
        run,
        Lease(run.environment, state.fence, state.holder, state.waiting),
        fence,
        lease_queue.queue_position(state, run.id),
    )
