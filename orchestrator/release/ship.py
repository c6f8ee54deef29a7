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
from orchestrator.planning.events import OnEvent, ProbeFinished, ProbeStarted
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problems
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.release.probe import Probe, ProbeResult, build_probes, run_probes
from orchestrator.vocabulary import Action, Actuation, Health, Outcome

if TYPE_CHECKING:
    from orchestrator.aws import Clients

Prober = Callable[..., tuple[ProbeResult, ...]]


class ShipResult(Struct, frozen=True):
    """What became of one plan: its outcomes, what AWS held afterwards, and what answered."""

    outcomes: tuple[Outcome, ...]
    verification: PreparedPlan | None
    probe_results: tuple[ProbeResult, ...] = ()
    error: str = ""
    service_addresses: frozenset[str] = frozenset()
    """Addresses of what runs builds."""

    @property
    def cause(self) -> str:
        """Why it is no success, in a sentence; empty when it is one."""
        return self.error or _first_failure(self.outcomes) or self._verification_failure() or self._probe_failure()

    def _verification_failure(self) -> str:
        if self.verification is None:
            return "AWS could not be read afterwards"
        for change in self.verification.plan.changes:
            if change.action is not Action.NONE:
                return f"{change.address}: it was applied, and AWS has it otherwise"
            if change.health is not Health.HEALTHY:
                return f"{change.address}: {change.status or change.health}"
        return ""

    def _probe_failure(self) -> str:
        failed_results = (proof for proof in self.probe_results if not proof.has_passed)
        messages = (
            (
                f"{result.probe.component_handle}: {result.probe.url} gave "
                f"{result.failure}, for {result.duration_seconds:.0f} s"
            )
            for result in failed_results
        )
        return next(messages, "")

    @property
    def is_unverified(self) -> bool:
        """Whether all of it was applied, and AWS would not say afterwards what it holds."""
        return bool(self.error) and self.verification is None and not _first_failure(self.outcomes)

    @property
    def is_build_failure(self) -> bool:
        """Whether what was shipped is to blame: it does not answer as it should, or its runtime would not have it."""
        service_outcomes = (outcome for outcome in self.outcomes if outcome.address in self.service_addresses)
        return bool(self._probe_failure()) or any(outcome.actuation is Actuation.FAILED for outcome in service_outcomes)

    @property
    def applied_changes(self) -> tuple[str, ...]:
        """What was done, for the ledger."""
        succeeded_outcomes = (outcome for outcome in self.outcomes if outcome.actuation is Actuation.SUCCEEDED)
        return tuple(f"{outcome.action} {outcome.address}" for outcome in succeeded_outcomes)


def ship(
    planned: PreparedPlan,
    candidate: ReleaseCandidate,
    on_event: OnEvent,
    *,
    parallelism: int = 16,
    clients: Clients | None = None,
    prober: Prober = run_probes,
) -> ShipResult:
    """Carry ``planned`` out, read AWS again, and ask what was shipped whether it answers.

    Raises what ``pipeline.apply`` raises.
    """
    outcomes = pipeline.apply(planned, on_event, parallelism=parallelism, clients=clients)
    unverified_result = ShipResult(outcomes, None, service_addresses=_service_addresses(candidate))
    if any(outcome.actuation in {Actuation.FAILED, Actuation.SKIPPED} for outcome in outcomes):
        return unverified_result
    try:
        return verify(candidate, on_event, outcomes, clients=clients, prober=prober)
    except (AwsError, Problems) as error:  # credentials that ran out, a network that went: what was done is done
        reason = error.problems[0].message if isinstance(error, Problems) else str(error)
        return replace(
            unverified_result, error=f"all of it was applied, and AWS could not be read afterwards: {reason}"
        )


def verify(
    candidate: ReleaseCandidate,
    on_event: OnEvent,
    outcomes: tuple[Outcome, ...] = (),
    *,
    clients: Clients | None = None,
    prober: Prober = run_probes,
) -> ShipResult:
    """Read AWS and prove, without changing anything."""
    verification = pipeline.plan(candidate.desired, clients=clients)
    if verification.plan.pending_changes:
        return ShipResult(outcomes, verification, service_addresses=_service_addresses(candidate))
    http_probes = build_probes(candidate.desired, verification.live, candidate.artefacts)
    for http_probe in http_probes:
        on_event(
            ProbeStarted(
                _probe_label(http_probe), f"GET {http_probe.url}, for up to {http_probe.timeout_seconds:.0f} s"
            )
        )
    results = prober(http_probes)
    for result in results:
        on_event(ProbeFinished(_probe_label(result.probe), result.has_passed, result.failure, result.duration_seconds))
    return ShipResult(outcomes, verification, results, service_addresses=_service_addresses(candidate))


def _service_addresses(candidate: ReleaseCandidate) -> frozenset[str]:
    addresses = (
        answers(component) for component in candidate.desired.components if component.kind == "ContainerService"
    )
    return frozenset(address for address in addresses if address)


def _probe_label(probe: Probe) -> str:
    return f"{probe.component_handle} {probe.path}"


def _first_failure(outcomes: tuple[Outcome, ...]) -> str:
    """The first failure, else the first thing left undone."""
    failed = (
        outcome for outcome in outcomes if outcome.actuation is Actuation.FAILED or outcome.health is not Health.HEALTHY
    )
    skipped = (outcome for outcome in outcomes if outcome.actuation is Actuation.SKIPPED)
    first_outcome = next(failed, None) or next(skipped, None)
    return f"{first_outcome.address}: {first_outcome.reason or first_outcome.health}" if first_outcome else ""
