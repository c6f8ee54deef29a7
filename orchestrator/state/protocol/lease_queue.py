"""Grant the lease of an environment to one run at a time, with a queue and fencing tokens.  Pure; times are parameters.

A holder identifies itself by its fence, a number that only grows.  A holder with an older fence has lost the lease,
whatever its own clock says.  A lease expires when its holder stops renewing it; waiting runs have to keep polling.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

LEASE_TTL_SECONDS = 60.0
"""Seconds after which a lease expires unless it is renewed."""
WAITER_TTL_SECONDS = 30.0
"""Seconds after which a waiting run that stops polling leaves the queue."""


class Holder(Struct, frozen=True):
    """The run that holds the lease; ``taken`` and ``until`` in Unix seconds.

    ``identity`` is the client that began the run: only it may write to the run.
    """

    run: str
    owner: str
    reason: str
    url: str
    fence: int
    taken: float
    until: float
    identity: str = ""


class Waiter(Struct, frozen=True):
    """A run that waits since ``since``; leaves the queue unless it polls before ``until`` (Unix seconds)."""

    run: str
    owner: str
    reason: str
    url: str
    since: float
    until: float
    identity: str = ""


class LeaseState(Struct, frozen=True):
    """The lease of one environment; ``fence`` is the highest ever granted."""

    fence: int = 0
    holder: Holder | None = None
    waiting: tuple[Waiter, ...] = ()


class LeaseRequest(Struct, frozen=True):
    """A request for the lease; ``can_wait`` adds the run to the queue if the lease is not free."""

    run: str
    owner: str
    reason: str = ""
    url: str = ""
    can_wait: bool = False
    identity: str = ""


class LostLeaseError(Exception):
    """The fence is outdated or its lease was released; ``holder`` is the current holder, if any."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("the run no longer holds the lease")
        self.holder = holder


class LeaseHeldError(Exception):
    """Another run holds the lease or, if ``holder`` is None, is ahead in the queue, and the request cannot wait."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("another run holds the lease")
        self.holder = holder


def drop_expired(state: LeaseState, now: float) -> LeaseState:
    """Return the state without expired runs.

    An expired holder keeps the lease while no other run waits: it may only be slow.
    """
    waiting = tuple(waiter for waiter in state.waiting if waiter.until > now)
    holder = state.holder
    if holder is not None and holder.until <= now and waiting:
        holder = None
    return LeaseState(state.fence, holder, waiting)


def acquire(state: LeaseState, request: LeaseRequest, now: float, ttl_seconds: float = LEASE_TTL_SECONDS) -> LeaseState:
    """Grant the lease if it is free and no run is ahead; otherwise queue the run if it can wait.

    A repeated request of the holder renews its lease.
    """
    state = drop_expired(state, now)
    if state.holder is not None and state.holder.run == request.run:
        return _extend(state, state.holder, now, ttl_seconds)
    queued_runs = [waiter.run for waiter in state.waiting]
    queue_index = queued_runs.index(request.run) if request.run in queued_runs else len(queued_runs)
    is_free = state.holder is None or state.holder.until <= now
    if is_free and queue_index == 0:
        waiting = tuple(waiter for waiter in state.waiting if waiter.run != request.run)
        fence = state.fence + 1
        holder = Holder(
            request.run, request.owner, request.reason, request.url, fence, now, now + ttl_seconds, request.identity
        )
        return LeaseState(fence, holder, waiting)
    return _enqueue(state, request, queue_index, now) if request.can_wait else state


def renew(state: LeaseState, fence: int, now: float, ttl_seconds: float = LEASE_TTL_SECONDS) -> LeaseState:
    """Renew the lease.

    Raises LostLeaseError if ``fence`` is not that of the holder.
    """
    state = drop_expired(state, now)
    return _extend(state, require_holder(state, fence), now, ttl_seconds)


def require_holder(state: LeaseState, fence: int) -> Holder:
    """Return the holder.

    Raises LostLeaseError if ``fence`` is not that of the holder.
    """
    if state.holder is None or state.holder.fence != fence:
        raise LostLeaseError(state.holder)
    return state.holder


def remove_run(state: LeaseState, run: str) -> LeaseState:
    """Return the state without ``run``, whether it holds or waits."""
    holder = None if state.holder is not None and state.holder.run == run else state.holder
    return LeaseState(state.fence, holder, tuple(waiter for waiter in state.waiting if waiter.run != run))


def queue_position(state: LeaseState, run: str) -> int | None:
    """Return the number of runs ahead of ``run`` in the queue, without the holder; None if it does not wait."""
    return next((index for index, waiter in enumerate(state.waiting) if waiter.run == run), None)


def _extend(state: LeaseState, holder: Holder, now: float, ttl_seconds: float) -> LeaseState:
    return replace(state, holder=replace(holder, until=max(holder.until, now + ttl_seconds)))


def _enqueue(state: LeaseState, request: LeaseRequest, index: int, now: float) -> LeaseState:
    since = state.waiting[index].since if index < len(state.waiting) else now
    waiter = Waiter(
        request.run, request.owner, request.reason, request.url, since, now + WAITER_TTL_SECONDS, request.identity
    )
    before, after = state.waiting[:index], state.waiting[index + 1 :]
    return replace(state, waiting=(*before, waiter, *after))
