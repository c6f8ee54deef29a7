"""Apply a plan, read AWS again and run probes: the steps that deploys and rollbacks share.

Nothing here prompts or prints: progress goes to ``on_event``, results are returned.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.aws.errors import AwsError
from orchestrator.components import answers
from orchestrator.planning import pipeline
from orchestrator.planning.events import Event, OnEvent, ProbeFinished, ProbeStarted, StepCompleted
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problems
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.release.probe import Probe, ProbeResult, build_probes, run_probes
from orchestrator.vocabulary import Action, Actuation, Health, Outcome

if TYPE_CHECKING:
    from orchestrator.aws import Clients

SERVICE_PREFIX = "containerservice."
BUILD_PREFIX = "ecr_image."
UNSEEN_PAUSES_SECONDS = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0)
"""Pauses before AWS is read again if reads do not show what was created a moment ago: IAM, S3, ECS and Secrets Manager
are eventually consistent."""
PROGRESS_PAUSE_SECONDS, MAX_PROGRESS_PAUSES = 10.0, 90
"""How often AWS is asked whether it is done with what a run that was stopped has begun: for a quarter of an hour."""
SNAPSHOT_MEMBERS = {
    "rds:CreateDBSnapshot": "DBSnapshotIdentifier",
    "rds:DeleteDBInstance": "FinalDBSnapshotIdentifier",
}
"""Calls that create a snapshot, and the parameter with its name."""
Prober = Callable[..., tuple[ProbeResult, ...]]


class ShipResult(Struct, frozen=True):
    """The result of shipping a plan: its outcomes, a plan made afterwards to verify them, and the probes' results."""

    outcomes: tuple[Outcome, ...]
    verification: PreparedPlan | None
    probe_results: tuple[ProbeResult, ...] = ()
    error: str = ""
    service_addresses: frozenset[str] = frozenset()
    """Addresses of the resources that run builds."""
    snapshots: tuple[str, ...] = ()
    """Snapshots of databases that were created, before a migration, a change or a deletion."""

    @property
    def cause(self) -> str:
        """Why it failed, in one sentence; empty on success."""
        return self.error or _first_failure(self.outcomes) or self._verification_failure() or self._probe_failure()

    def _verification_failure(self) -> str:
        if self.verification is None:
            return "AWS could not be read after applying"
        for change in self.verification.plan.changes:
            if change.action is not Action.NONE:
                return f"{change.address}: applied, but AWS still differs from the manifests"
            if change.health is not Health.HEALTHY:
                return f"{change.address}: {change.status or change.health}"
        return ""

    def _probe_failure(self) -> str:
        failed_results = (result for result in self.probe_results if not result.has_passed)
        messages = (
            (
                f"{result.probe.component_handle}: {result.probe.url}: "
                f"{result.failure} (after {result.duration_seconds:.0f}s)"
            )
            for result in failed_results
        )
        return next(messages, "")

    @property
    def is_unverified(self) -> bool:
        """Whether everything was applied, but AWS could not be read afterwards."""
        return bool(self.error) and self.verification is None and not _first_failure(self.outcomes)

    @property
    def has_changed_nothing(self) -> bool:
        """Whether it failed before anything was changed: an image that was pushed and is not used changes nothing."""
        touched = [
            outcome
            for outcome in self.outcomes
            if outcome.actuation in {Actuation.SUCCEEDED, Actuation.FAILED} or outcome.steps_done
        ]
        has_only_built = all(outcome.address.startswith(BUILD_PREFIX) for outcome in touched)
        return self.verification is None and bool(_first_failure(self.outcomes)) and has_only_built

    @property
    def is_build_failure(self) -> bool:
        """Whether the build is to blame: a probe failed, or the service did not accept it."""
        service_outcomes = (outcome for outcome in self.outcomes if outcome.address in self.service_addresses)
        return bool(self._probe_failure()) or any(outcome.actuation is Actuation.FAILED for outcome in service_outcomes)

    @property
    def faulty_components(self) -> frozenset[str]:
        """Services that failed, or did not answer as they should; empty if something else did, such as a page."""
        failed = {
            f"{SERVICE_PREFIX}{outcome.address.partition('.')[2]}"
            for outcome in self.outcomes
            if outcome.actuation is Actuation.FAILED and outcome.address in self.service_addresses
        }
        failed |= {result.probe.component_handle for result in self.probe_results if not result.has_passed}
        return frozenset(handle for handle in failed if handle.startswith(SERVICE_PREFIX))

    @property
    def applied_changes(self) -> tuple[str, ...]:
        """The changes that succeeded, for the ledger."""
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
    """Apply ``planned``, read AWS again, and probe what was shipped.

    Raises what ``pipeline.apply`` raises.
    """
    snapshots: list[str] = []

    def note_snapshot(event: Event) -> None:
        if isinstance(event, StepCompleted) and (member := SNAPSHOT_MEMBERS.get(event.step.action)):
            name = event.step.parameters.get(member)
            snapshots.extend([str(name)] if name else [])
        on_event(event)

    outcomes = pipeline.apply(planned, note_snapshot, parallelism=parallelism, clients=clients)
    unverified_result = ShipResult(
        outcomes, None, service_addresses=_service_addresses(candidate), snapshots=tuple(snapshots)
    )
    if any(outcome.actuation in {Actuation.FAILED, Actuation.SKIPPED} for outcome in outcomes):
        return unverified_result
    try:
        result = verify(candidate, on_event, outcomes, clients=clients, prober=prober)
        return replace(result, snapshots=unverified_result.snapshots)
    except (AwsError, Problems) as error:  # credentials ran out or the network failed: the changes are made
        reason = error.problems[0].message if isinstance(error, Problems) else str(error)
        return replace(
            unverified_result, error=f"everything was applied, but AWS could not be read afterwards: {reason}"
        )


def verify(
    candidate: ReleaseCandidate,
    on_event: OnEvent,
    outcomes: tuple[Outcome, ...] = (),
    *,
    clients: Clients | None = None,
    prober: Prober = run_probes,
    pause: Callable[[float], None] = time.sleep,
    planned: PreparedPlan | None = None,
) -> ShipResult:
    """Read AWS and run the probes, without changing anything.

    ``planned`` was made under the same lock, and nothing was changed since: if it covers everything, and finds it
    healthy, AWS is not read again.

    What ``outcomes`` have created and reads do not show yet is waited for, with ``pause``, and so is what AWS still
    does for a run that was stopped.

    Raises Problems or AwsError if AWS cannot be read.
    """
    is_settled = planned is not None and _is_settled(planned, candidate)
    verification = planned if planned and is_settled else _read_again(candidate, outcomes, clients, pause)
    if verification.plan.pending_changes:
        return ShipResult(outcomes, verification, service_addresses=_service_addresses(candidate))
    http_probes = build_probes(candidate.desired, verification.live, candidate.artefacts)
    for http_probe in http_probes:
        on_event(
            ProbeStarted(_probe_label(http_probe), f"GET {http_probe.url} (timeout {http_probe.timeout_seconds:.0f}s)")
        )
    results = prober(http_probes)
    for result in results:
        on_event(ProbeFinished(_probe_label(result.probe), result.has_passed, result.failure, result.duration_seconds))
    return ShipResult(outcomes, verification, results, service_addresses=_service_addresses(candidate))


def _is_settled(planned: PreparedPlan, candidate: ReleaseCandidate) -> bool:
    """Return whether a plan has read all that the candidate declares, and found it as declared and healthy."""
    addresses = {change.address for change in planned.plan.changes}
    return (
        not planned.plan.unread
        and addresses >= {resource.address for resource in candidate.desired.resources}
        and all(change.action is Action.NONE and change.health is Health.HEALTHY for change in planned.plan.changes)
    )


def _read_again(
    candidate: ReleaseCandidate,
    outcomes: tuple[Outcome, ...],
    clients: Clients | None,
    pause: Callable[[float], None],
) -> PreparedPlan:
    """Return the plan after the changes; while a new resource seems to be missing, read AWS again."""
    created = {
        outcome.address
        for outcome in outcomes
        if outcome.actuation is Actuation.SUCCEEDED and outcome.action in {Action.CREATE, Action.REPLACE}
    }
    planned = pipeline.plan(candidate.desired, clients=clients)
    for seconds in UNSEEN_PAUSES_SECONDS:
        pending = planned.plan.pending_changes
        if not any(change.action is Action.CREATE and change.address in created for change in pending):
            break
        pause(seconds)
        planned = pipeline.plan(candidate.desired, clients=clients)
    if _first_failure(outcomes):
        return planned
    for _ in range(MAX_PROGRESS_PAUSES):
        if not _continues_in_aws(planned):
            break
        pause(PROGRESS_PAUSE_SECONDS)
        planned = pipeline.plan(candidate.desired, clients=clients)
    return planned


def _continues_in_aws(planned: PreparedPlan) -> bool:
    """Return whether nothing differs, but AWS is not done with what an earlier run has asked for."""
    changes = planned.plan.changes
    return not planned.plan.pending_changes and any(change.health is Health.PROGRESSING for change in changes)


def _service_addresses(candidate: ReleaseCandidate) -> frozenset[str]:
    addresses = (
        answers(component) for component in candidate.desired.components if component.kind == "ContainerService"
    )
    return frozenset(address for address in addresses if address)


def _probe_label(probe: Probe) -> str:
    return f"{probe.component_handle} {probe.path}"


def _first_failure(outcomes: tuple[Outcome, ...]) -> str:
    """Return the first failed or unhealthy outcome, else the first skipped one, with its reason.

    What was not changed is judged by reading AWS again: it may have become healthy in the meantime.
    """
    changed = [outcome for outcome in outcomes if outcome.actuation is not Actuation.UNCHANGED]
    failed = (
        outcome for outcome in changed if outcome.actuation is Actuation.FAILED or outcome.health is not Health.HEALTHY
    )
    skipped = (outcome for outcome in outcomes if outcome.actuation is Actuation.SKIPPED)
    first_outcome = next(failed, None) or next(skipped, None)
    return f"{first_outcome.address}: {first_outcome.reason or first_outcome.health}" if first_outcome else ""
