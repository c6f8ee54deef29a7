"""Every order of requests to a lease, explored to the end: three runs, time in steps of 15 seconds.

A state is who holds and who waits, and for how long still; each is visited once, with every request at its moment and
just before the next.  What must follow is written here anew, from ``docs/state-service/README.md`` and the docstrings:
a living holder keeps the lease, the queue is first come first served, who falls silent leaves, fences only grow.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.state.protocol.lease_queue import (
    Holder,
    LeaseRequest,
    LeaseState,
    LostLeaseError,
    Waiter,
    acquire,
    remove_run,
    renew,
)

RUNS = ("a", "b", "c")
LEASE_SECONDS, WAITER_SECONDS, STEP_SECONDS = 60.0, 30.0, 15.0
JUST_BEFORE = 1 / 64
NUMBER_OF_SITUATIONS = 385
"""As many as three runs can be in."""


class Situation(Struct, frozen=True):
    """A lease at a moment."""

    state: LeaseState
    now: float

    @property
    def holder(self) -> Holder | None:
        return self.state.holder

    @property
    def is_alive(self) -> bool:
        """Whether somebody holds the lease whose time is not over."""
        return self.holder is not None and self.holder.until > self.now

    @property
    def living_queue(self) -> list[Waiter]:
        return [waiter for waiter in self.state.waiting if waiter.until > self.now]


def key_of(situation: Situation) -> object:
    """Two situations with one key have the same future."""
    now = situation.now
    holder = situation.holder
    remaining = (holder.run, max(holder.until - now, 0.0)) if holder else None
    return remaining, tuple((item.run, max(item.until - now, 0.0)) for item in situation.state.waiting)


def check_acquire(before: Situation, run: str, can_wait: bool) -> LeaseState:
    after = acquire(before.state, LeaseRequest(run, run, can_wait=can_wait), before.now)
    holder, queue = before.holder, before.living_queue
    names = [waiter.run for waiter in queue]
    is_ours = holder is not None and holder.run == run
    is_kept = holder is not None and (before.is_alive or (is_ours and not [n for n in names if n != run]))
    is_next = not names or names[0] == run
    if is_ours and is_kept:
        assert holder is not None
        assert after.holder == replace(holder, until=max(holder.until, before.now + LEASE_SECONDS))
        assert after.waiting == tuple(queue)
    elif not is_kept and is_next:
        expected = Holder(run, run, "", "", before.state.fence + 1, before.now, before.now + LEASE_SECONDS)
        assert after == LeaseState(before.state.fence + 1, expected, tuple(w for w in queue if w.run != run))
    else:
        is_dropped = holder is not None and not before.is_alive and queue
        assert after.holder == (None if is_dropped else holder), "the holder changed for one that may not have it"
        place = names.index(run) if run in names else len(names)
        since = queue[place].since if place < len(names) else before.now
        ours = Waiter(run, run, "", "", since, before.now + WAITER_SECONDS)
        expected_queue = [*queue[:place], ours, *queue[place + 1 :]] if can_wait else queue
        assert after.waiting == tuple(expected_queue)
    assert after.fence >= before.state.fence
    return after


def check_renew(before: Situation, fence: int) -> LeaseState:
    is_current = before.holder is not None and before.holder.fence == fence
    may_continue = is_current and (before.is_alive or not before.living_queue)
    try:
        after = renew(before.state, fence, before.now)
    except LostLeaseError:
        assert not may_continue
        return before.state
    assert may_continue, "somebody renewed a lease that is another's"
    assert before.holder is not None
    expected = replace(before.holder, until=max(before.holder.until, before.now + LEASE_SECONDS))
    assert after == LeaseState(before.state.fence, expected, tuple(before.living_queue))
    return after


def check_remove(before: Situation, run: str) -> LeaseState:
    after = remove_run(before.state, run)
    assert after.holder == (None if before.holder and before.holder.run == run else before.holder)
    assert after.waiting == tuple(waiter for waiter in before.state.waiting if waiter.run != run)
    assert after.fence == before.state.fence
    return after


def explore(situation: Situation) -> Iterator[Situation]:
    """Make every request now and just before the next step; yield what can follow."""
    for now in (situation.now, situation.now + STEP_SECONDS - JUST_BEFORE):
        before = Situation(situation.state, now)
        following: list[LeaseState] = []
        for run in RUNS:
            following += [check_acquire(before, run, can_wait) for can_wait in (True, False)]
            following.append(check_remove(before, run))
        following += [check_renew(before, fence) for fence in (situation.state.fence, situation.state.fence - 1)]
        if now == situation.now:
            yield from (Situation(state, now) for state in following)
    yield Situation(situation.state, situation.now + STEP_SECONDS)


def test_no_order_of_requests_gives_the_lease_to_two_or_past_the_queue() -> None:
    start = Situation(LeaseState(), 0.0)
    seen, waiting = {key_of(start)}, [start]
    while waiting:
        for following in explore(waiting.pop()):
            names = [waiter.run for waiter in following.state.waiting]
            assert len(set(names)) == len(names), "a run waits twice"
            assert all(one.since <= other.since for one, other in pairwise(following.state.waiting))
            if (key := key_of(following)) not in seen:
                seen.add(key)
                waiting.append(following)

    assert len(seen) >= NUMBER_OF_SITUATIONS, "the exploration ended early"


def test_the_holder_that_waits_for_nobody_may_be_slow() -> None:
    """An hour of silence loses nothing while nobody else asks."""
    state = acquire(LeaseState(), LeaseRequest("a", "ana"), 0.0)

    assert renew(state, 1, 3600.0).holder == Holder("a", "ana", "", "", 1, 0.0, 3660.0)


def test_a_clock_that_goes_back_shortens_no_lease() -> None:
    """Two replicas' clocks differ, or one was set: the holder has been told until when it holds the lease."""
    state = acquire(LeaseState(), LeaseRequest("a", "ana"), 100.0)

    assert renew(state, 1, 95.0).holder == state.holder
    assert acquire(state, LeaseRequest("a", "ana"), 95.0).holder == state.holder
