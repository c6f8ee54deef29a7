"""One writer an environment: who holds the lease, who waits, and what a zombie is told.  Pure; times are given.

A holder proves itself by its fence, a number that only grows.  Whoever holds an older one has been overtaken, whatever
its own clock says.  A lease ends by itself when its holder gives no sign of life; those who wait have to keep asking.
"""

from __future__ import annotations

from msgspec import Struct
from msgspec.structs import replace

LASTS = 60.0
"""Seconds a lease is good for without a sign of life."""
PATIENCE = 30.0
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


class Line(Struct, frozen=True):
    """The lease of one environment: ``fence`` is the highest ever given out."""

    fence: int = 0
    holder: Holder | None = None
    waiting: tuple[Waiter, ...] = ()


class Asking(Struct, frozen=True):
    """Somebody who wants to write; ``waits`` puts them in the queue when it is not their turn."""

    run: str
    owner: str
    reason: str = ""
    url: str = ""
    waits: bool = False


class LostLeaseError(Exception):
    """The fence is not the newest, or its lease was given back.  ``holder`` is who has it now, if anybody."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("the lease is not yours any more")
        self.holder = holder


class HeldError(Exception):
    """Somebody else has the lease, or came earlier (then ``holder`` is None), and who asks does not wait."""

    def __init__(self, holder: Holder | None) -> None:
        super().__init__("somebody else has the lease")
        self.holder = holder


def current(line: Line, now: float) -> Line:
    """``line`` without those whose time is over.

    A holder whose time is over keeps the lease while nobody else wants it: it may only have been slow.
    """
    waiting = tuple(one for one in line.waiting if one.until > now)
    holder = line.holder
    if holder is not None and holder.until <= now and waiting:
        holder = None
    return Line(line.fence, holder, waiting)


def take(line: Line, asking: Asking, now: float, lasts: float = LASTS) -> Line:
    """``asking`` gets the lease when it is free and nobody came earlier; else it waits, if it said so.

    Asked again by the holder itself, the holder stays (a repeated request takes nothing twice).
    """
    line = current(line, now)
    if line.holder is not None and line.holder.run == asking.run:
        return _renewed(line, line.holder, now, lasts)
    ahead = [one.run for one in line.waiting]
    mine = ahead.index(asking.run) if asking.run in ahead else len(ahead)
    free = line.holder is None or line.holder.until <= now
    if free and mine == 0:
        rest = tuple(one for one in line.waiting if one.run != asking.run)
        fence = line.fence + 1
        holder = Holder(asking.run, asking.owner, asking.reason, asking.url, fence, now, now + lasts)
        return Line(fence, holder, rest)
    return _queued(line, asking, mine, now) if asking.waits else line


def beat(line: Line, fence: int, now: float, lasts: float = LASTS) -> Line:
    """A sign of life.

    Raises LostLeaseError when it is not the holder's.
    """
    line = current(line, now)
    return _renewed(line, checked(line, fence), now, lasts)


def checked(line: Line, fence: int) -> Holder:
    """The holder, if ``fence`` is its own.

    Raises LostLeaseError otherwise.
    """
    if line.holder is None or line.holder.fence != fence:
        raise LostLeaseError(line.holder)
    return line.holder


def give_back(line: Line, run: str) -> Line:
    """``run`` neither holds nor waits any more, if it ever did."""
    holder = None if line.holder is not None and line.holder.run == run else line.holder
    return Line(line.fence, holder, tuple(one for one in line.waiting if one.run != run))


def position(line: Line, run: str) -> int | None:
    """How many are before ``run`` in the queue, the holder not counted; None when it does not wait."""
    return next((number for number, one in enumerate(line.waiting) if one.run == run), None)


def _renewed(line: Line, holder: Holder, now: float, lasts: float) -> Line:
    return replace(line, holder=replace(holder, until=max(holder.until, now + lasts)))


def _queued(line: Line, asking: Asking, mine: int, now: float) -> Line:
    since = line.waiting[mine].since if mine < len(line.waiting) else now
    waiter = Waiter(asking.run, asking.owner, asking.reason, asking.url, since, now + PATIENCE)
    before, after = line.waiting[:mine], line.waiting[mine + 1 :]
    return replace(line, waiting=(*before, waiter, *after))
