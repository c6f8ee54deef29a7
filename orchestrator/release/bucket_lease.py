"""Lock an environment for writing with a lease in the release bucket, using conditional writes.

If the holder dies, the lease expires after its TTL.  The state service offers leases with a queue; this lease needs
only the bucket, so that a rollback works when everything else is down.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.release.ledger_store import PAUSES_SECONDS, LedgerStore, StoredObject

LEASE_TTL_SECONDS = 120.0
"""Seconds after which a lease expires unless it is renewed."""
RENEW_INTERVAL_SECONDS = LEASE_TTL_SECONDS / 4


class LockHeldError(Problems):
    """Another run holds the lock: its owner, its reason, and when the lock expires."""


class Lease(Struct, frozen=True):
    """The lock's owner, reason and expiry (Unix seconds).  ``token`` distinguishes two runs of the same person."""

    owner: str
    reason: str
    token: str
    until: float


class HeldLease:
    """A lease of this run, renewed in the background.  ``lost_event`` is set when another run has taken it,
    or its time is over.

    ``allow_missing``: the run may delete the bucket and the lease with it, which does not count as losing it.
    """

    def __init__(
        self, store: LedgerStore, lease: Lease, clock: Callable[[], float], *, allow_missing: bool = False
    ) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._allow_missing = allow_missing
        self._renew_lock = threading.Lock()
        self._stop_event = threading.Event()
        self.lost_event = threading.Event()
        self._thread = threading.Thread(target=self._renew_loop, name="lease", daemon=True)
        self._thread.start()

    def is_held(self) -> bool:
        """Return whether this run still holds the lease; read the bucket if it has expired, as after a machine's sleep.

        Raises Problems if the bucket cannot be read.
        """
        if self._clock() > self._lease.until:
            self._renew()
        return not self.lost_event.is_set()

    def release(self) -> None:
        """Delete the lease if this run still holds it.  If that fails (credentials ran out), it expires by itself."""
        self._stop_event.set()
        self._thread.join()
        with suppress(Problems):
            stored = self._store.fetch_once(lease_key(self._store))
            if stored and _decode_lease(stored).token == self._lease.token:
                self._store.delete(lease_key(self._store), stored)

    def _renew_loop(self) -> None:
        while not self._stop_event.wait(RENEW_INTERVAL_SECONDS) and not self.lost_event.is_set():
            with suppress(Problems):  # the lease outlasts one missed renewal
                self._renew()

    def _renew(self) -> None:
        """Renew the lease.  It is lost only to another token, or once its time is over; a 404 proves neither."""
        with self._renew_lock:
            stored = self._store.fetch_once(lease_key(self._store))
            if stored is not None and _decode_lease(stored).token != self._lease.token:
                self.lost_event.set()
                return
            renewed_lease = replace(self._lease, until=self._clock() + LEASE_TTL_SECONDS)
            is_expired = self._clock() > self._lease.until
            if stored is None and self._allow_missing:
                self._lease = renewed_lease
            elif stored is None and is_expired:
                self.lost_event.set()
            elif self._store.put(lease_key(self._store), canonical_json.dump(renewed_lease), previous=stored):
                self._lease = renewed_lease
            elif is_expired:
                self.lost_event.set()


def lease_key(store: LedgerStore) -> str:
    """Return the object key of the environment's lease."""
    return f"lease/{store.environment}.json"


@contextmanager
def acquire(
    store: LedgerStore, owner: str, reason: str, clock: Callable[[], float] = time.time, *, allow_missing: bool = False
) -> Iterator[HeldLease]:
    """Hold the environment's lease for the duration of a ``with`` block.  See HeldLease for ``allow_missing``.

    Raises LockHeldError if another run holds it.
    """
    lease = Lease(owner, reason, uuid.uuid4().hex, clock() + LEASE_TTL_SECONDS)
    _write_lease(store, lease, clock)
    held_lease = HeldLease(store, lease, clock, allow_missing=allow_missing)
    try:
        yield held_lease
    finally:
        held_lease.release()


def _write_lease(store: LedgerStore, lease: Lease, clock: Callable[[], float]) -> None:
    """Write a new lease.  A lease that S3 does not show yet is waited for: it may have expired, or be ours.

    Raises LockHeldError if another run holds the lock.
    """
    for pause_seconds in (*PAUSES_SECONDS, 0.0):
        existing = store.fetch_once(lease_key(store))
        holder = _decode_lease(existing) if existing is not None else None
        if holder is not None and holder.token == lease.token:
            return  # only the response to the write was lost
        if holder is not None and holder.until > clock():
            raise _lock_held_error(store, holder)
        if store.put(lease_key(store), canonical_json.dump(lease), previous=existing):
            return
        store.pause(pause_seconds)
    raise LockHeldError.from_message(
        f"{store.environment} is locked, and S3 does not show by whom; nothing was changed",
        hint="wait a few minutes, then run the command again",
    )


def _decode_lease(stored: StoredObject) -> Lease:
    return canonical_json.load(stored.data, Lease, "the lock")


def _lock_held_error(store: LedgerStore, holder: Lease) -> LockHeldError:
    until = datetime.fromtimestamp(holder.until, UTC).strftime("%H:%M:%S UTC")
    return LockHeldError.from_message(
        f"{store.environment} is locked by {holder.owner} ({holder.reason}); nothing was changed",
        hint=f"wait for that run to finish; if it is dead, its lock expires at {until}",
    )
