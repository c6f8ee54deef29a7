"""Lock an environment for writing with a lease in the release bucket, using conditional writes.

If the holder dies, the lease expires after its TTL.  The state service offers leases with a queue; this lease needs
only the bucket, so that a rollback works when everything else is down.

No clock of another machine is believed: a lease is as old as S3 says, its ``Date`` minus the object's
``Last-Modified``, and its holder counts from before the request that renewed it.  Whoever takes over writes over the
very version that it read (``If-Match``), and each renewal is another version.
"""

from __future__ import annotations

import threading
import time
import uuid
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime

import msgspec
from msgspec import Struct
from msgspec.structs import replace

from orchestrator import canonical_json
from orchestrator.aws.s3_object import PAUSES_SECONDS
from orchestrator.problems import Problems
from orchestrator.redaction.redact import sanitise
from orchestrator.release.ledger_store import LedgerStore, StoredObject
from orchestrator.suspend_aware_clock import suspend_aware_time

LEASE_TTL_SECONDS = 120.0
"""Seconds after which a lease expires unless it is renewed."""
RENEW_INTERVAL_SECONDS = LEASE_TTL_SECONDS / 4
SAFETY_MARGIN_SECONDS = 20.0
"""Seconds before the expiry of its lease from which a run does nothing unless it renews it; S3's times are whole
seconds, and its machines' clocks may differ a little."""
MAX_SHOWN_CHARACTERS = 200


class LockHeldError(Problems):
    """Another run holds the lock: its owner, its reason, and when the lock expires."""


class Lease(Struct, frozen=True):
    """The lock's owner and reason.  ``token`` distinguishes two runs of the same person.

    ``until``: when it expires by the clock of its holder, in Unix seconds; only older versions of the orchestrator
    believe it.  0: ``orchestrator unlock`` freed the lease, and ``owner`` and ``reason`` say who did that and why.
    """

    owner: str
    reason: str
    token: str
    until: float

    @property
    def is_freed(self) -> bool:
        return self.until == 0


class HeldLease:
    """A lease of this run, renewed in the background.  ``lost_event`` is set when another run has taken it,
    or its time is over.

    ``clock`` returns seconds that never go back.  ``allow_missing``: the run may delete the bucket and the lease with
    it, which does not count as losing it.
    """

    def __init__(
        self,
        store: LedgerStore,
        lease: Lease,
        clock: Callable[[], float],
        requested_at: float,
        *,
        ttl_seconds: float = LEASE_TTL_SECONDS,
        allow_missing: bool = False,
    ) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._confirmed_at = requested_at
        self._sure_seconds = ttl_seconds - SAFETY_MARGIN_SECONDS * ttl_seconds / LEASE_TTL_SECONDS
        self._renew_interval_seconds = ttl_seconds / 4
        self._allow_missing = allow_missing
        self._renew_lock = threading.Lock()
        self._stop_event = threading.Event()
        self.lost_event = threading.Event()
        self._thread = threading.Thread(target=self._renew_loop, name="lease", daemon=True)
        self._thread.start()

    def is_held(self) -> bool:
        """Return whether this run still holds the lease; ask the bucket if it may have expired, as after a sleep.

        Raises Problems if the bucket cannot be read.
        """
        if self._is_unsure():
            with self._renew_lock:
                if self._is_unsure():
                    self._renew()
        return not self.lost_event.is_set()

    def release(self) -> None:
        """Delete the lease if this run still holds it.  If that fails (credentials ran out), it expires by itself."""
        self._stop_event.set()
        self._thread.join()
        with suppress(Problems):
            stored = self._store.fetch_once(lease_key(self._store))
            if stored and _is_of(stored, self._lease.token):
                self._store.delete(lease_key(self._store), stored)

    def _is_unsure(self) -> bool:
        return self._clock() - self._confirmed_at > self._sure_seconds

    def _renew_loop(self) -> None:
        while not self._stop_event.wait(self._renew_interval_seconds) and not self.lost_event.is_set():
            with suppress(Problems), self._renew_lock:  # the lease outlasts one missed renewal
                self._renew()

    def _renew(self) -> None:
        """Renew the lease.  It is lost only to another token, or once its time is over; a 404 proves neither."""
        requested_at = self._clock()
        stored = self._store.fetch_once(lease_key(self._store))
        if stored is not None and not _is_of(stored, self._lease.token):
            self.lost_event.set()
            return
        if stored is None and self._allow_missing:
            self._confirmed_at = requested_at
            return
        if stored is None and self._is_unsure():
            self.lost_event.set()
            return
        renewed_lease = replace(self._lease, until=_next_until(self._lease.until))
        if self._store.put(lease_key(self._store), canonical_json.dump(renewed_lease), previous=stored):
            self._lease, self._confirmed_at = renewed_lease, requested_at
        elif self._is_unsure():
            self.lost_event.set()


def lease_key(store: LedgerStore) -> str:
    """Return the object key of the environment's lease."""
    return f"lease/{store.environment}.json"


@contextmanager
def acquire(
    store: LedgerStore,
    owner: str,
    reason: str,
    clock: Callable[[], float] = suspend_aware_time,
    *,
    ttl_seconds: float = LEASE_TTL_SECONDS,
    allow_missing: bool = False,
) -> Iterator[HeldLease]:
    """Hold the environment's lease for the duration of a ``with`` block.  See HeldLease for the options.

    ``ttl_seconds``: the age from which other runs' leases count as expired, and from which this one may.

    Raises LockHeldError if another run holds it.
    """
    lease = Lease(owner, reason, uuid.uuid4().hex, _next_until(0.0))
    requested_at = _write_lease(store, lease, clock, ttl_seconds)
    held_lease = HeldLease(store, lease, clock, requested_at, ttl_seconds=ttl_seconds, allow_missing=allow_missing)
    try:
        yield held_lease
    finally:
        held_lease.release()


def describe_lock(store: LedgerStore) -> str:
    """Return who holds the lock and since when, "" if nobody does.  Raises Problems if the bucket cannot be read."""
    return _describe(store.fetch(lease_key(store)))


def free(store: LedgerStore, owner: str, reason: str) -> str:
    """Free the lock, whoever holds it and whatever its object contains; return what ``describe_lock`` said of it.

    The lease is overwritten, not deleted: a run that still holds it sees another token and stops before its next
    request, and the bucket keeps who freed it, and why, until the next run begins.

    Raises Problems if AWS refuses, or the lease is renewed during each attempt.
    """
    lease = Lease(owner, f"unlocked: {reason}", uuid.uuid4().hex, 0.0)
    for pause_seconds in (*PAUSES_SECONDS, 0.0):
        stored = store.fetch(lease_key(store))
        description = _describe(stored)
        if not description or store.put(lease_key(store), canonical_json.dump(lease), previous=stored):
            return description
        store.pause(pause_seconds)
    raise Problems.from_message(
        f"the lock of {store.environment} changed during each of {len(PAUSES_SECONDS) + 1} attempts; "
        "it was not removed",
        hint="run the command again",
    )


def _write_lease(store: LedgerStore, lease: Lease, clock: Callable[[], float], ttl_seconds: float) -> float:
    """Write a new lease; return when that was requested.

    A lease that S3 does not show yet is waited for: it may have expired, or be ours.
    Raises LockHeldError if another run holds the lock.
    """
    for pause_seconds in (*PAUSES_SECONDS, 0.0):
        requested_at = clock()
        existing = store.fetch_once(lease_key(store))
        if existing is not None and _is_of(existing, lease.token):
            return requested_at  # only the response to the write was lost
        if existing is not None and not _is_free(existing, ttl_seconds):
            raise _lock_held_error(store, existing, ttl_seconds)
        if store.put(lease_key(store), canonical_json.dump(lease), previous=existing):
            return requested_at
        store.pause(pause_seconds)
    raise LockHeldError.from_message(
        f"{store.environment} is locked, but S3 does not show the owner of the lock; nothing was changed",
        hint="wait a few minutes, then run the command again",
    )


def _next_until(previous_until: float) -> float:
    """Return an expiry that differs from the previous one even if the clock stands still: equal bytes have one ETag."""
    return max(time.time() + LEASE_TTL_SECONDS, previous_until + 1.0)


def _decode_lease(stored: StoredObject) -> Lease | None:
    """Return the lease, or None if the object is none.  Fields of newer versions are ignored."""
    try:
        return msgspec.json.decode(stored.data, type=Lease)
    except canonical_json.DECODE_ERRORS:
        return None


def _is_of(stored: StoredObject, token: str) -> bool:
    lease = _decode_lease(stored)
    return lease is not None and lease.token == token


def _is_free(stored: StoredObject, ttl_seconds: float) -> bool:
    lease = _decode_lease(stored)
    age_seconds = _age_seconds(stored)
    return (lease is not None and lease.is_freed) or (age_seconds is not None and age_seconds >= ttl_seconds)


def _age_seconds(stored: StoredObject) -> float | None:
    """Return the seconds since the object was written, by S3's clock alone; None if the response did not say."""
    if stored.read_at is None or stored.written_at is None:
        return None
    return stored.read_at - stored.written_at


def _describe(stored: StoredObject | None) -> str:
    """Return who holds the lock and since when, "" if nobody does."""
    lease = _decode_lease(stored) if stored is not None else None
    if stored is None or (lease is not None and lease.is_freed):
        return ""
    return f"{_describe_holder(lease, stored)}, {_describe_age(stored)}"


def _describe_holder(lease: Lease | None, stored: StoredObject) -> str:
    if lease is None:
        content = f"an invalid lock object of {len(stored.data)} bytes" if stored.data else "an empty lock object"
        return f"locked by {content} (the lock is damaged, or another version wrote it)"
    return f"locked by {_shown(lease.owner)} ({_shown(lease.reason)})"


def _shown(text: str) -> str:
    return sanitise(text[:MAX_SHOWN_CHARACTERS]) or "unknown"


def _describe_age(stored: StoredObject) -> str:
    if stored.written_at is None:
        return "renewed at an unknown time"
    expired = " and now expired" if _is_free(stored, LEASE_TTL_SECONDS) else ""
    return f"last renewed at {_format_time(stored.written_at)}{expired}"


def _format_time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%M:%S UTC")


def _lock_held_error(store: LedgerStore, existing: StoredObject, ttl_seconds: float) -> LockHeldError:
    """Return who holds the lock, and when it expires: both by S3's clock, whatever the object claims."""
    unlock = f"orchestrator unlock -e {store.environment} --reason WHY"
    if existing.written_at is None or existing.read_at is None:
        expiry = "S3's response had no date, so the expiry time of its lock is unknown"
    else:
        expiry = f"if that run was killed, its lock expires at {_format_time(existing.written_at + ttl_seconds)}"
    holder = _describe_holder(_decode_lease(existing), existing)
    return LockHeldError.from_message(
        f"{store.environment} is {holder}; nothing was changed",
        hint=f"wait for that run to finish ({expiry}), or remove the lock now: {unlock}",
    )
