"""The lease and the ledger of the release bucket, with writers in every order of their calls.

The lease's rule: at no moment do two runs hold it, but for one whose time is over and that has not looked since; who
looks is told, also if the other has given it back.  The ledger's: no entry is lost.
"""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import suppress

import pytest
from msgspec.structs import replace

from orchestrator.release import Ledger, Release, Vector, bucket_lease
from orchestrator.release.bucket_lease import LockHeldError
from orchestrator.release.ledger_store import LedgerStore
from tests.schedules.object_store import ObjectStore
from tests.schedules.scheduler import Scenario, Scheduler, explore, run

LEASE_SECONDS = 120.0


def record(store: LedgerStore, name: str) -> None:
    """Add an entry, as a deploy does."""

    def add(ledger: Ledger) -> Ledger:
        entry = Release(ledger.next_number, "", name, "", Vector(name), "healthy")
        return replace(ledger, releases=(*ledger.releases, entry))

    store.write(add)


def ledger_scenario(names: str) -> Scenario:
    """One writer of the ledger for each letter."""

    def scenario(scheduler: Scheduler) -> Callable[[], None]:
        bucket = ObjectStore(scheduler.pause)
        for name in names:
            store = LedgerStore(bucket, "b", "prod", lambda seconds: None)
            scheduler.add(lambda store=store, name=name: record(store, name))  # type: ignore[misc]

        def check() -> None:
            releases = LedgerStore(bucket, "b", "prod").read().releases
            assert sorted(release.by for release in releases) == sorted(names)
            assert [release.number for release in releases] == list(range(1, len(names) + 1))

        return check

    return scenario


class Locks:
    """Who holds the lease, as the runs themselves believe."""

    def __init__(self, scheduler: Scheduler) -> None:
        self.now = 1000.0
        self.bucket = ObjectStore(scheduler.pause, self.clock)
        self.holders: set[str] = set()
        self.grants: list[str] = []
        self.refusals: list[str] = []

    def clock(self) -> float:
        return self.now

    def hold(self, name: str, scheduler: Scheduler) -> None:
        """Take the lease, look before each of two calls whether it is ours still, and give it back."""
        store = LedgerStore(self.bucket, "b", "prod", lambda seconds: None)
        try:
            with bucket_lease.acquire(store, name, "deploy", self.clock) as held:
                for _ in range(2):
                    if not held.is_held():
                        self.refusals.append(name)
                        break
                    self.enter(name)
                    assert self.read_owner() == name, "a run believes that it holds a lease that is another's"
                    scheduler.pause()  # a call of AWS
                self.holders.discard(name)
        except LockHeldError:
            self.refusals.append(name)

    def enter(self, name: str) -> None:
        assert name not in self.grants or self.grants[-1] == name, "another held the lease meanwhile: its plan is stale"
        self.holders.add(name)
        self.grants.append(name)
        assert self.holders == {name}, "two runs hold the lease"

    def pass_time(self) -> None:
        """A lease's time goes by, as on a machine that slept; nobody has looked since."""
        self.now += LEASE_SECONDS + 1
        self.holders.clear()

    def read_owner(self) -> str:
        return str(json.loads(self.bucket.objects["lease/prod.json"])["owner"])


def lease_scenario(names: str, *, is_time_passing: bool, is_abandoned: bool = False) -> Scenario:
    """A run for each letter; time passes, at any moment; ``is_abandoned``: a lease of a dead run is there."""

    def scenario(scheduler: Scheduler) -> Callable[[], None]:
        locks = Locks(scheduler)
        if is_abandoned:
            dead = {"owner": "dead", "reason": "deploy", "token": "t", "until": locks.now - 1}
            locks.bucket.objects["lease/prod.json"] = json.dumps(dead).encode()
        for name in names:
            scheduler.add(lambda name=name: locks.hold(name, scheduler))  # type: ignore[misc]
        if is_time_passing:
            scheduler.add(locks.pass_time)

        def check() -> None:
            assert locks.grants, "nobody got the lease"
            assert set(locks.grants) | set(locks.refusals) == set(names)
            assert locks.bucket.objects == {}, "a lease is left over"

        return check

    return scenario


@pytest.mark.parametrize(("names", "switches", "orders"), [("ab", 99, 20), ("abc", 2, 60)])
def test_no_entry_of_the_ledger_is_lost(names: str, switches: int, orders: int) -> None:
    assert explore(ledger_scenario(names), max_switches=switches) >= orders


@pytest.mark.parametrize("is_abandoned", [False, True])
def test_no_two_runs_hold_the_lease(is_abandoned: bool) -> None:
    """Not even while they take one that a dead run left behind."""
    scenario = lease_scenario("ab", is_time_passing=False, is_abandoned=is_abandoned)

    assert explore(scenario, max_switches=3) > 100


def test_three_runs_at_once() -> None:
    assert explore(lease_scenario("abc", is_time_passing=False), max_switches=2) > 100


def test_a_run_whose_time_is_over_takes_nothing_from_the_living() -> None:
    """It neither renews over another's lease, nor removes it when it gives its own back."""
    assert explore(lease_scenario("ab", is_time_passing=True), max_switches=3) > 300


def test_the_scheduler_finds_a_lost_update_and_plays_it_again() -> None:
    """A writer without conditions loses an entry in some order; its schedule fails the same way each time."""

    def scenario(scheduler: Scheduler) -> Callable[[], None]:
        numbers = {"n": 0}

        def add() -> None:
            before = numbers["n"]
            scheduler.pause()
            numbers["n"] = before + 1

        scheduler.add(add)
        scheduler.add(add)

        def check() -> None:
            assert numbers["n"] == 2

        return check

    with pytest.raises(AssertionError) as found:
        explore(scenario)
    (note,) = found.value.__notes__
    schedule = json.loads(note.partition("scenario, ")[2].removesuffix(")"))
    for _ in range(3):
        with pytest.raises(AssertionError):
            run(scenario, schedule)
    with suppress(AssertionError):
        run(scenario, [])
