"""Apply, look again, prove: what a deploy and a rollback have in common.

Nothing here asks or prints; what is to be shown goes through ``on_event`` and comes back as data.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.aws.errors import AwsError
from orchestrator.components import answers
from orchestrator.planning import pipeline
from orchestrator.planning.events import Answered, Asking, OnEvent
from orchestrator.planning.plan import Planned
from orchestrator.problems import Problems
from orchestrator.release.checkout import Wanted
from orchestrator.release.probe import Probe, Proof, probes, prove
from orchestrator.vocabulary import Action, Actuation, Health, Outcome

if TYPE_CHECKING:
    from orchestrator.aws import Clients

Prove = Callable[..., tuple[Proof, ...]]


class Shipped(Struct, frozen=True):
    """What became of one plan: its outcomes, what AWS held afterwards, and what answered."""

    outcomes: tuple[Outcome, ...]
    after: Planned | None
    proofs: tuple[Proof, ...] = ()
    trouble: str = ""
    services: frozenset[str] = frozenset()
    """Addresses of what runs builds."""

    @property
    def cause(self) -> str:
        """Why it is no success, in a sentence; empty when it is one."""
        return self.trouble or _unwell(self.outcomes) or self._otherwise() or self._unproved()

    def _otherwise(self) -> str:
        if self.after is None:
            return "AWS could not be read afterwards"
        for change in self.after.plan.changes:
            if change.action is not Action.NONE:
                return f"{change.address}: it was applied, and AWS has it otherwise"
            if change.health is not Health.HEALTHY:
                return f"{change.address}: {change.status or change.health}"
        return ""

    def _unproved(self) -> str:
        wrong = (proof for proof in self.proofs if not proof.passed)
        texts = (f"{one.probe.subject}: {one.probe.url} gave {one.saw}, for {one.seconds:.0f} s" for one in wrong)
        return next(texts, "")

    @property
    def is_unseen(self) -> bool:
        """Whether all of it was applied, and AWS would not say afterwards what it holds."""
        return bool(self.trouble) and self.after is None and not _unwell(self.outcomes)

    @property
    def blames_the_build(self) -> bool:
        """Whether what was shipped is to blame: it does not answer as it should, or its runtime would not have it."""
        refused = (one for one in self.outcomes if one.address in self.services)
        return bool(self._unproved()) or any(one.actuation is Actuation.FAILED for one in refused)

    @property
    def changed(self) -> tuple[str, ...]:
        """What was done, for the ledger."""
        done = (one for one in self.outcomes if one.actuation is Actuation.SUCCEEDED)
        return tuple(f"{one.action} {one.address}" for one in done)


def ship(
    planned: Planned,
    wanted: Wanted,
    on_event: OnEvent,
    *,
    parallelism: int = 16,
    clients: Clients | None = None,
    proving: Prove = prove,
) -> Shipped:
    """Carry ``planned`` out, read AWS again, and ask what was shipped whether it answers.

    Raises what ``pipeline.apply`` raises.
    """
    outcomes = pipeline.apply(planned, on_event, parallelism=parallelism, clients=clients)
    done = Shipped(outcomes, None, services=_services(wanted))
    if any(one.actuation in {Actuation.FAILED, Actuation.SKIPPED} for one in outcomes):
        return done
    try:
        return look(wanted, on_event, outcomes, clients=clients, proving=proving)
    except (AwsError, Problems) as error:  # credentials that ran out, a network that went: what was done is done
        why = error.problems[0].message if isinstance(error, Problems) else str(error)
        return replace(done, trouble=f"all of it was applied, and AWS could not be read afterwards: {why}")


def look(
    wanted: Wanted,
    on_event: OnEvent,
    outcomes: tuple[Outcome, ...] = (),
    *,
    clients: Clients | None = None,
    proving: Prove = prove,
) -> Shipped:
    """Read AWS and prove, without changing anything."""
    after = pipeline.plan(wanted.desired, clients=clients)
    if after.plan.pending:
        return Shipped(outcomes, after, services=_services(wanted))
    asked = probes(wanted.desired, after.live, wanted.artefacts)
    for one in asked:
        on_event(Asking(_label(one), f"GET {one.url}, for up to {one.within:.0f} s"))
    proofs = proving(asked)
    for proof in proofs:
        on_event(Answered(_label(proof.probe), proof.passed, proof.saw, proof.seconds))
    return Shipped(outcomes, after, proofs, services=_services(wanted))


def _services(wanted: Wanted) -> frozenset[str]:
    found = (answers(one) for one in wanted.desired.components if one.kind == "ContainerService")
    return frozenset(address for address in found if address)


def _label(one: Probe) -> str:
    return f"{one.subject} {one.path}"


def _unwell(outcomes: tuple[Outcome, ...]) -> str:
    """The first failure, else the first thing left undone."""
    failed = (one for one in outcomes if one.actuation is Actuation.FAILED or one.health is not Health.HEALTHY)
    skipped = (one for one in outcomes if one.actuation is Actuation.SKIPPED)
    first = next(failed, None) or next(skipped, None)
    return f"{first.address}: {first.reason or first.health}" if first else ""
