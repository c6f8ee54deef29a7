"""One writer an environment: who holds the lease, who waits, and what a zombie is told.  Pure; times are given.

A holder proves itself by its fence, a number that only grows.  Whoever holds an older one has been overtaken, whatever
its own clock says.  A lease ends by itself when its holder gives no sign of life; those who wait have to keep asking.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

LEASE_TTL_SECONDS = 60.0
"""Seconds a lease is good for without a sign of life."""
WAITER_TTL_SECONDS = 30.0
"""Seconds after which one who waits and does not ask any more has gone."""


class Holder(Struct, frozen=True):
    """Who holds the lease; ``taken`` and ``until`` in Unix seconds."""

    run: str
    owner: str
    reason: str
    url: str
    fence: int
    taken: float
    until: float


class Waiter(Struct, frozen=True):
    """Who waits for it since ``since``; gone unless it asks again before ``until`` (Unix seconds)."""

    run: str
    owner: str
    reason: str
    url: str
    since: float
    until: float


class LeaseState(Struct, frozen=True):
    """The lease of one environment: ``fence`` is the highest ever given out."""

    fence: int = 0
    holder: Holder | None = None
    waiting: tuple[Waiter, ...] = ()


class LeaseRequest(Struct, frozen=True):
    """Somebody who wants to write; ``waits`` puts them in the queue when it is not their turn."""

    run: str
    owner: str
    reason: str = ""
    url: str = ""
    can_wait: bool = False


class LostLeaseError(Exception):
    """The fence is not the newest, or its lease was given back.  ``holder`` is who has it now, if anybody."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("the lease is not yours any more")
        self.holder = holder


class LeaseHeldError(Exception):
    """Somebody else has the lease, or came earlier (then ``holder`` is None), and who asks does not wait."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("somebody else has the lease")
        self.holder = holder


def drop_expired(state: LeaseState, now: float) -> LeaseState:
    """``line`` without those whose time is over.

    A holder whose time is over keeps the lease while nobody else wants it: it may only have been slow.
    """
    waiting = tuple(waiter for waiter in state.waiting if waiter.until > now)
    holder = state.holder
    if holder is not None and holder.until <= now and waiting:
        holder = None
    return LeaseState(state.fence, holder, waiting)


def acquire(state: LeaseState, request: LeaseRequest, now: float, ttl_seconds: float = LEASE_TTL_SECONDS) -> LeaseState:
    """``asking`` gets the lease when it is free and nobody came earlier; else it waits, if it said so.

    Asked again by the holder itself, the holder stays (a repeated request takes nothing twice).
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
        holder = Holder(request.run, request.owner, request.reason, request.url, fence, now, now + ttl_seconds)
        return LeaseState(fence, holder, waiting)
    return _enqueue(state, request, queue_index, now) if request.can_wait else state


def renew(state: LeaseState, fence: int, now: float, ttl_seconds: float = LEASE_TTL_SECONDS) -> LeaseState:
    """A sign of life.

    Raises LostLeaseError when it is not the holder's.
    """
    state = drop_expired(state, now)
    return _extend(state, require_holder(state, fence), now, ttl_seconds)


def require_holder(state: LeaseState, fence: int) -> Holder:
    """The holder, if ``fence`` is its own.

    Raises LostLeaseError otherwise.
    """
    if state.holder is None or state.holder.fence != fence:
        raise LostLeaseError(state.holder)
    return state.holder


def remove_run(state: LeaseState, run: str) -> LeaseState:
    """``run`` neither holds nor waits any more, if it ever did."""
    holder = None if state.holder is not None and state.holder.run == run else state.holder
    return LeaseState(state.fence, holder, tuple(waiter for waiter in state.waiting if waiter.run != run))


def queue_position(state: LeaseState, run: str) -> int | None:
    """How many are before ``run`` in the queue, the holder not counted; None when it does not wait."""
    return next((index for index, waiter in enumerate(state.waiting) if waiter.run == run), None)


def _extend(state: LeaseState, holder: Holder, now: float, ttl_seconds: float) -> LeaseState:
    return replace(state, holder=replace(holder, until=max(holder.until, now + ttl_seconds)))


def _enqueue(state: LeaseState, request: LeaseRequest, index: int, now: float) -> LeaseState:
    since = state.waiting[index].since if index < len(state.waiting) else now
    waiter = Waiter(request.run, request.owner, request.reason, request.url, since, now + WAITER_TTL_SECONDS)
    before, after = state.waiting[:index], state.waiting[index + 1 :]
    return replace(state, waiting=(*before, waiter, *after))
