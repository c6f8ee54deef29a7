"""Lock an environment for writing during a run, with two leases.

The lease of the state service is acquired first, if there is one: it has the queue, and its fence stops a run that lost
it.  The lease in the release bucket is acquired inside it, and keeps out runs that do not use the service.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.runs import reporter
from orchestrator.runs.settings import Settings
from orchestrator.state.client.run_reporter import RunReporter
from orchestrator.suspend_aware_clock import suspend_aware_time

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.release.bucket_lease import HeldLease
    from orchestrator.release.ledger_store import LedgerStore
    from orchestrator.state.protocol.records import RunVerb
    from orchestrator.vocabulary import Scope

POLL_INTERVAL_SECONDS = 1.0
"""Seconds between two attempts to acquire a lease that another run holds."""
EXPIRY_MARGIN_SECONDS = 30.0
"""Seconds to wait for the lease of a run that died, beyond its time to live."""


class WriteLock(Struct, frozen=True):
    """A held lock.  ``clients`` check before every request to AWS, retries included, that the lock is still held."""

    record: RunReporter
    clients: Clients


@contextmanager
def write_lock(
    settings: Settings,
    scope: Scope,
    verb: RunVerb,
    options: reporter.RunOptions,
    clients: Clients,
    ledger_store: LedgerStore | None,
    *,
    clock: Callable[[], float] = suspend_aware_time,
) -> Iterator[WriteLock]:
    """Hold both leases for the length of a ``with`` block; wait for them according to ``options``.

    ``ledger_store`` is None if the project keeps no releases and so has no release bucket.

    Raises Problems if another run holds the lock, or the state service is required and unreachable; RunSuperseded if
    a newer run makes this one unnecessary.
    """
    with ExitStack() as stack:
        record = stack.enter_context(
            reporter.record_run(settings, f"{scope.project}/{scope.environment}", verb, options)
        )
        wait_seconds = max(options.wait_seconds, _expiry_seconds() if record.is_live else 0.0)
        with reporter.record_refusal(record):  # a lock held by another run does not make this run failed
            held_lease = stack.enter_context(_bucket_lease(settings, ledger_store, verb, wait_seconds, clock))
        record.has_bucket_lock = held_lease is not None

        def check_lock() -> None:
            record.require_lease()
            if held_lease is not None and not held_lease.is_held():
                raise Problems.from_message("another run has taken over the lock in the release bucket; this run stops")

        yield WriteLock(record, clients.with_before_send(check_lock))


def _expiry_seconds() -> float:
    """Return the seconds after which the bucket's lease of a run that died has certainly expired."""
    from orchestrator.release.bucket_lease import LEASE_TTL_SECONDS

    return LEASE_TTL_SECONDS + EXPIRY_MARGIN_SECONDS


@contextmanager
def _bucket_lease(
    settings: Settings,
    ledger_store: LedgerStore | None,
    verb: RunVerb,
    wait_seconds: float,
    clock: Callable[[], float],
) -> Iterator[HeldLease | None]:
    """Hold the lease in the release bucket, if the bucket exists; without one no other run can be writing.

    Raises Problems if another run still holds it after ``wait_seconds``.
    """
    from orchestrator.release import bucket_lease, ledger_entry

    if ledger_store is None:
        yield None
        return
    if not ledger_store.exists():
        yield None
        return
    owner = ledger_entry.detect_origin(settings.manifests).actor
    with ExitStack() as stack:

        def acquire() -> HeldLease:
            return stack.enter_context(
                bucket_lease.acquire(ledger_store, owner, verb, clock, allow_missing=verb == "destroy")
            )

        yield _wait_for_lease(acquire, wait_seconds, settings.terminal.print_err)


def _wait_for_lease(acquire: Callable[[], HeldLease], wait_seconds: float, on_wait: Callable[[str], None]) -> HeldLease:
    """Return the lease once no other run holds it.  Raises LockHeldError after ``wait_seconds``."""
    from orchestrator.release.bucket_lease import LockHeldError

    deadline, was_announced = time.monotonic() + wait_seconds, False
    while True:
        try:
            return acquire()
        except LockHeldError as error:
            if time.monotonic() > deadline:
                raise
            if not was_announced:
                on_wait(f"Waiting for the lock in the release bucket: {error.problems[0].message.partition(';')[0]}.")
            was_announced = True
            time.sleep(POLL_INTERVAL_SECONDS)


@contextmanager
def drill_lock(
    settings: Settings,
    scope: Scope,
    options: reporter.RunOptions,
    clients: Clients,
    ledger_store: LedgerStore | None,
    *,
    clock: Callable[[], float] = suspend_aware_time,
) -> Iterator[Clients]:
    """Keep other drills of the environment out, and let deploys go on: a drill takes long, and changes nothing of it.

    Yields clients that stop the run once another drill has taken its place.  Raises Problems if one is running.
    """
    from orchestrator.release.ledger_store import LedgerStore

    store = ledger_store and LedgerStore(clients, ledger_store.bucket, f"{scope.environment}.drill")
    with (
        reporter.interrupt_on_termination(),
        _bucket_lease(settings, store, "restore", options.wait_seconds, clock) as held,
    ):

        def check_lock() -> None:
            if held is not None and not held.is_held():
                raise Problems.from_message(
                    "another drill has taken over the lock in the release bucket; this drill stops"
                )

        yield clients.with_before_send(check_lock)
