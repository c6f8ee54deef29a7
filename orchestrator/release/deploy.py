"""Deploys and rollbacks, from a plan to a release in the ledger; and what a failure leads to.

Intent is written down first, then the plan is applied, AWS read again, and what was shipped asked whether it answers.
Images and sites are resources, so applying builds and ships them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.aws.errors import AwsError
from orchestrator.planning import pipeline
from orchestrator.planning.events import OnEvent
from orchestrator.planning.plan import Planned
from orchestrator.problems import Problem, Problems
from orchestrator.release import (
    Ledger,
    Pin,
    Release,
    Result,
    Vector,
    garbage_collection,
    ledger_entry,
    live_versions,
    pins,
    rollback,
)
from orchestrator.release.checkout import Wanted
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import Store
from orchestrator.release.probe import prove
from orchestrator.release.rollback import Return
from orchestrator.release.ship import Prove, Shipped, look, ship

if TYPE_CHECKING:
    from orchestrator.aws import Clients

End = Literal["released", "unchanged", "failed", "returned"]
OnFailure = Callable[[str], None]


class Ended(Struct, frozen=True):
    """How a deploy or rollback ended.

    ``stands`` is the number of the release that AWS holds now, None when it is no whole one; ``cause`` why it failed;
    ``back`` what became of the return to what stood before; ``trouble`` what could not be tidied up.
    """

    end: End
    shipped: Shipped
    stands: int | None
    release: Release | None = None
    cause: str = ""
    back: Shipped | None = None
    trouble: tuple[str, ...] = ()


class Deployment:
    """One run: where it writes, whose it is, through which clients, and who is told."""

    def __init__(
        self,
        store: Store,
        origin: Origin,
        clients: Clients,
        on_event: OnEvent,
        *,
        parallelism: int = 16,
        proving: Prove = prove,
    ) -> None:
        self._store = store
        self._origin = origin
        self._clients = clients
        self._on_event = on_event
        self._parallelism = parallelism
        self._proving = proving

    def deploy(self, planned: Planned, wanted: Wanted, on_failure: OnFailure) -> Ended:
        """Carry out the plan for ``wanted``; on failure go back to the last proved release if the project says so.

        ``on_failure`` is told the cause before anything is done about it.  Raises as the pipeline does.
        """
        standing = wanted.ledger.standing
        if not planned.plan.pending and standing is not None and standing.is_whole:
            return self._confirm(wanted, standing)
        begun = self._begin(planned, wanted, standing.vector if standing else None)
        shipped = self._ship(planned, wanted)
        if not shipped.cause:
            return self._released(begun, shipped, wanted)
        on_failure(shipped.cause)
        failed, trouble = self._failed(begun, shipped, wanted)
        stays = Ended("failed", shipped, None, failed, shipped.cause, trouble=trouble)
        if shipped.is_unseen:
            return stays  # nothing is known to be wrong, and blindly nothing is gone back from
        try:
            ledger = self._store.read()
            target = _return_to(ledger, wanted)
            way = rollback.prepare(ledger, target, (), self._store) if target else None
        except Problems as error:
            return replace(stays, back=Shipped((), None, trouble=_said(error)))
        return replace(self._return(shipped, failed, way), trouble=trouble) if way else stays

    def go_back(self, planned: Planned, way: Return, reason: str, on_failure: OnFailure) -> Ended:
        """Carry out the plan of a rollback.  The end is the target or what stood before, and it says which."""
        begun = self._begin(planned, way.wanted, way.target.vector, of=way.target.number, reason=reason)
        shipped = self._ship(planned, way.wanted)
        if not shipped.cause:
            return self._released(begun, shipped, way.wanted, way)
        on_failure(shipped.cause)
        failed, trouble = self._failed(begun, shipped, way.wanted)
        if way.before is None or shipped.is_unseen:
            return Ended("failed", shipped, None, failed, shipped.cause, trouble=trouble)
        back = self._again(way.before)
        if back.cause:
            return Ended("failed", shipped, None, failed, shipped.cause, back, trouble)
        # What stood stands again: it is written down as such, so that nobody takes the failed attempt for it.
        again = replace(way.standing, number=0, at=ledger_entry.now(), of=way.standing.number, reason=shipped.cause)
        with _standing(f"release {way.standing.number} stands again ({shipped.cause})"):
            again = self._written(again, way.before)
        return Ended("returned", shipped, again.number, again, shipped.cause, back, trouble)

    def _confirm(self, wanted: Wanted, standing: Release) -> Ended:
        """Nothing is to change; what stands is asked whether it is well all the same."""
        shipped = look(wanted, self._on_event, clients=self._clients, proving=self._proving)
        if shipped.cause:
            return Ended("failed", shipped, standing.number, standing, shipped.cause)
        if wanted.pins.lifted:
            self._store.write(lambda now: replace(now, pins=_without(now.pins, wanted)))
        return Ended("unchanged", shipped, standing.number, standing)

    def _begin(
        self, planned: Planned, wanted: Wanted, before: Vector | None, of: int | None = None, reason: str = ""
    ) -> Release:
        """Write down what is about to be done; the very first deploy makes the bucket for it, and cannot yet."""
        vector = live_versions.intended(wanted, before)
        origin, digest = self._origin, planned.plan.digest
        draft = Release(0, ledger_entry.now(), origin.by, origin.commit, vector, "started", digest, of, reason=reason)
        return self._written(draft, wanted)

    def _written(self, release: Release, wanted: Wanted) -> Release:
        """``release`` as the ledger has it; as it is while there is no bucket to keep one."""
        if not release.number and not self._store.exists():
            return release
        ledger = self._store.write(lambda now: ledger_entry.entry(now, release, wanted, now.pins))
        return ledger.find(release.number) or ledger.releases[-1]

    def _failed(self, begun: Release, shipped: Shipped, wanted: Wanted) -> tuple[Release, tuple[str, ...]]:
        """Write down that it failed, as far as that works: going back is worth more than the note."""
        failed = replace(begun, result="failed", reason=shipped.cause, changes=shipped.changed)
        try:
            return self._written(failed, wanted), ()
        except Problems as error:
            return failed, tuple(f"the failure could not be written down: {one.message}" for one in error.problems)

    def _ship(self, planned: Planned, wanted: Wanted) -> Shipped:
        return ship(
            planned,
            wanted,
            self._on_event,
            parallelism=self._parallelism,
            clients=self._clients,
            proving=self._proving,
        )

    def _again(self, wanted: Wanted) -> Shipped:
        """Plan and ship what was shipped before; a veto or a problem is a cause like any other."""
        try:
            return self._ship(pipeline.plan(wanted.desired, clients=self._clients), wanted)
        except Problems as error:
            return Shipped((), None, trouble=_said(error))

    def _released(self, begun: Release, shipped: Shipped, wanted: Wanted, way: Return | None = None) -> Ended:
        """Write down what stands, with the pins that follow from it, and tidy up."""
        assert shipped.after is not None
        result: Result = "healthy" if shipped.proofs else "unproved"

        def enter(now: Ledger) -> Ledger:
            kept = _pinned(way, now, made) if way else _without(now.pins, wanted)
            return ledger_entry.entry(now, made, wanted, kept)

        with _standing(f"release {way.target.number} is back, all of it" if way else "all of it stands"):
            vector = live_versions.vector(wanted, shipped.after.live, self._clients, begun.vector)
            made = replace(begun, vector=vector, result=result, changes=shipped.changed)
            live_versions.keep_models(wanted, vector, self._clients, self._store)
            ledger = self._store.write(enter)
        made = ledger.find(made.number) or ledger.releases[-1]
        trouble = garbage_collection.Sweeper(self._clients, self._store, wanted.desired).sweep(ledger)
        return Ended("released", shipped, made.number, made, trouble=trouble)

    def _return(self, shipped: Shipped, failed: Release, way: Return) -> Ended:
        """Go back by itself.  A build that did not prove well is held back; a call that failed says nothing of it."""
        target = way.target
        back = self._again(way.wanted)
        if back.cause or back.after is None:
            return Ended("failed", shipped, None, failed, shipped.cause, back)
        origin, cause = self._origin, shipped.cause

        def enter(now: Ledger) -> Ledger:
            kept = _pinned(way, now, again) if shipped.blames_the_build else now.pins
            return ledger_entry.entry(now, again, way.wanted, kept)

        with _standing(f"release {target.number} stands again ({cause})"):
            vector = live_versions.vector(way.wanted, back.after.live, self._clients, target.vector)
            draft = Release(0, ledger_entry.now(), origin.by, origin.commit, vector, target.result, of=target.number)
            again = replace(draft, reason=cause)
            made = self._store.write(enter).releases[-1]
        return Ended("returned", shipped, made.number, made, shipped.cause, back)


@contextmanager
def _standing(what: str) -> Iterator[None]:
    """Say ``what`` stands when it cannot be written down.  Raises Problems."""
    try:
        yield
    except (AwsError, Problems) as error:
        found = [one.message for one in error.problems] if isinstance(error, Problems) else [str(error)]
        messages = (f"{what}, but that could not be written down: {one}" for one in found)
        hint = "run the same again: nothing but the note is missing"
        raise Problems([Problem(message, hint=hint) for message in messages]) from None


def _said(error: Problems) -> str:
    return "; ".join(one.message for one in error.problems)


def _return_to(ledger: Ledger, wanted: Wanted) -> Release | None:
    """Where a failed deploy goes back to: nowhere if the project says so, or nothing good came before."""
    project = next(one for one in wanted.desired.components if one.kind == "Project")
    if project.spec["releases"]["onFailure"] == "stop":
        return None
    try:
        return rollback.choose(ledger, None)
    except Problems:
        return None


def _pinned(way: Return, ledger: Ledger, release: Release) -> tuple[Pin, ...]:
    fresh = pins.made(way.standing, way.target, ledger, way.parts, release.at, release.by, release.reason)
    return pins.renew(ledger, fresh)


def _without(standing: tuple[Pin, ...], wanted: Wanted) -> tuple[Pin, ...]:
    lifted = set(wanted.pins.lifted)
    return tuple(pin for pin in standing if pin not in lifted)
