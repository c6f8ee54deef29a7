"""One writer an environment: a lease in the release bucket, taken and given back by conditional writes.

A holder that dies keeps nobody out for longer than the lease lasts.  The state service has leases with a queue; this
one needs nothing but the bucket, so that going back works when everything else is down.
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
from orchestrator.release.ledger_store import Store, Stored

LASTS = 120.0
"""Seconds a lease is good for without a sign of life."""
BEATS = LASTS / 4


class LeaseTakenError(Problems):
    """Somebody else is writing: who, since what, until when."""


class Lease(Struct, frozen=True):
    """Who writes, why, and until when (Unix seconds); ``token`` tells two runs of one person apart."""

    owner: str
    reason: str
    token: str
    until: float


class Held:
    """A lease that is ours, kept alive in the background.  ``lost`` tells that it is not ours any more.

    ``goes``: the run may delete the bucket, and the lease with it, which is no loss.
    """

    def __init__(self, store: Store, lease: Lease, clock: Callable[[], float], *, goes: bool = False) -> None:
        self._store = store
        self._lease = lease
        self._clock = clock
        self._goes = goes
        self._one = threading.Lock()
        self._stop = threading.Event()
        self.lost = threading.Event()
        self._thread = threading.Thread(target=self._work, name="lease", daemon=True)
        self._thread.start()

    def is_ours(self) -> bool:
        """Whether it is ours still; asks the bucket when its time is over, as after a machine's sleep.

        Raises Problems when the bucket does not say.
        """
        if self._clock() > self._lease.until:
            self._beat()
        return not self.lost.is_set()

    def release(self) -> None:
        """Give it back, if it is still ours; one that cannot be given back (credentials ran out) ends by itself."""
        self._stop.set()
        self._thread.join()
        with suppress(Problems):
            stored = self._store.fetch(key(self._store))
            if stored and _lease(stored).token == self._lease.token:
                self._store.remove(key(self._store))

    def _work(self) -> None:
        while not self._stop.wait(BEATS) and not self.lost.is_set():
            with suppress(Problems):  # it lasts longer than one missed beat
                self._beat()

    def _beat(self) -> None:
        with self._one:
            stored = self._store.fetch(key(self._store))
            mine = stored is not None and _lease(stored).token == self._lease.token
            fresh = replace(self._lease, until=self._clock() + LASTS)
            if mine and self._store.put(key(self._store), canonical_json.dump(fresh), over=stored):
                self._lease = fresh
            elif mine or stored is None:
                self._gone(fresh)
            else:
                self.lost.set()

    def _gone(self, fresh: Lease) -> None:
        """Its object has vanished, or did so while it was written anew."""
        if self._goes:
            self._lease = fresh
        else:
            self.lost.set()


def key(store: Store) -> str:
    """Where the lease of the store's environment lies."""
    return f"lease/{store.environment}.json"


@contextmanager
def hold(
    store: Store, owner: str, reason: str, clock: Callable[[], float] = time.time, *, goes: bool = False
) -> Iterator[Held]:
    """Hold the environment's lease for the length of a ``with`` block; ``goes`` as in Held.

    Raises LeaseTakenError when somebody else holds it.
    """
    lease = Lease(owner, reason, uuid.uuid4().hex, clock() + LASTS)
    before = store.fetch(key(store))
    if before is not None and (other := _lease(before)).until > clock():
        raise _taken(store, other)
    if not store.put(key(store), canonical_json.dump(lease), over=before):
        now = store.fetch(key(store))
        raise _taken(store, _lease(now) if now else lease)
    held = Held(store, lease, clock, goes=goes)
    try:
        yield held
    finally:
        held.release()


def _lease(stored: Stored) -> Lease:
    return canonical_json.load(stored.data, Lease, "the lease")


def _taken(store: Store, other: Lease) -> LeaseTakenError:
    until = datetime.fromtimestamp(other.until, UTC).strftime("%H:%M:%S UTC")
    return LeaseTakenError.one(
        f"{store.environment} is being changed by {other.owner} ({other.reason}); nothing was done",
        hint=f"wait for it, or, if that run is dead, until {until}, when its lease ends by itself",
    )
