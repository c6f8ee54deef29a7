"""The lease's rules, against a simulated clock: never two writers, first come first served, zombies are refused."""

from __future__ import annotations

import pytest
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from orchestrator.state.protocol.lease_queue import (
    LEASE_TTL_SECONDS,
    LeaseRequest,
    LeaseState,
    LostLeaseError,
    acquire,
    drop_expired,
    remove_run,
    renew,
)

RUNS = st.sampled_from(["a", "b", "c", "d"])


class Writers(RuleBasedStateMachine):
    """Runs that ask, beat, give back, and fall silent, while time goes by."""

    def __init__(self) -> None:
        super().__init__()
        self.line = LeaseState()
        self.now = 0.0
        self.fences: dict[str, int] = {}
        self.given: list[int] = []

    @rule(seconds=st.floats(0.1, 2 * LEASE_TTL_SECONDS))
    def time_goes_by(self, seconds: float) -> None:
        self.now += seconds

    @rule(run=RUNS, waits=st.booleans())
    def ask(self, run: str, waits: bool) -> None:
        queue = [one.run for one in drop_expired(self.line, self.now).waiting]
        self.line = acquire(self.line, LeaseRequest(run, run, can_wait=waits), self.now)
        holder = self.line.holder
        if holder and holder.run == run and holder.fence not in self.given:
            assert not queue or queue[0] == run, "somebody was overtaken in the queue"
            self.given.append(holder.fence)
            self.fences[run] = holder.fence

    @rule(run=RUNS)
    def show_life(self, run: str) -> None:
        if run not in self.fences:
            return
        try:
            self.line = renew(self.line, self.fences[run], self.now)
        except LostLeaseError:
            assert self.line.holder is None or self.line.holder.fence != self.fences[run] or self.line.waiting
        else:
            assert self.fences[run] == self.given[-1], "a zombie was let through"

    @rule(run=RUNS)
    def give(self, run: str) -> None:
        self.line = remove_run(self.line, run)
        self.fences.pop(run, None)

    @invariant()
    def fences_grow(self) -> None:
        assert self.given == sorted(set(self.given))

    @invariant()
    def nobody_holds_and_waits(self) -> None:
        waiting = [one.run for one in self.line.waiting]
        assert len(waiting) == len(set(waiting))
        assert self.line.holder is None or self.line.holder.run not in waiting


TestWriters = Writers.TestCase


def test_a_zombie_is_refused_once_another_has_the_lease() -> None:
    line = acquire(LeaseState(), LeaseRequest("a", "ana"), 0.0)
    line = acquire(line, LeaseRequest("b", "bo"), LEASE_TTL_SECONDS + 1)
    with pytest.raises(LostLeaseError):
        renew(line, 1, LEASE_TTL_SECONDS + 2)
    assert line.holder is not None
    assert (line.holder.run, line.holder.fence) == ("b", 2)
