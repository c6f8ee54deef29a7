"""Run a deploy or a rollback: record its start, apply the plan, verify the result, and roll back on failure.

Verification reads AWS again and probes what was shipped.  Images and sites are resources, so applying a plan builds and
ships them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Literal

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.aws import Reader
from orchestrator.aws.errors import AwsError
from orchestrator.planning import pipeline
from orchestrator.planning.events import OnEvent
from orchestrator.planning.plan import PreparedPlan
from orchestrator.problems import Problem, Problems
from orchestrator.release import (
    Ledger,
    Pin,
    Release,
    ReleaseResult,
    Vector,
    garbage_collection,
    ledger_entry,
    live_versions,
    manifest_documents,
    pins,
    rollback,
    schema_versions,
    site_archive,
)
from orchestrator.release.checkout import ReleaseCandidate
from orchestrator.release.ledger_entry import Origin
from orchestrator.release.ledger_store import LedgerStore
from orchestrator.release.probe import run_probes
from orchestrator.release.rollback import RollbackTarget
from orchestrator.release.ship import Prober, ShipResult, ship, verify

if TYPE_CHECKING:
    from orchestrator.aws import Clients

DeployStatus = Literal["released", "unchanged", "failed", "returned"]
OnFailure = Callable[[str], None]


class DeployResult(Struct, frozen=True):
    """The result of a deploy or rollback.

    ``current_release_number`` is None if AWS holds no complete release now.  ``cause`` says why it failed.
    ``rollback_result`` is the result of restoring the previous release.  ``warnings`` lists clean-up and recording
    failures, ``held`` what pins of earlier rollbacks held back.
    """

    status: DeployStatus
    ship_result: ShipResult
    current_release_number: int | None
    release: Release | None = None
    cause: str = ""
    rollback_result: ShipResult | None = None
    warnings: tuple[str, ...] = ()
    held: tuple[str, ...] = ()


class Deployment:
    """A run of a deploy or rollback, with its ledger store, origin, AWS clients and event handler."""

    def __init__(
        self,
        store: LedgerStore,
        origin: Origin,
        clients: Clients,
        on_event: OnEvent,
        *,
        parallelism: int = 16,
        prober: Prober = run_probes,
    ) -> None:
        self._store = store
        self._origin = origin
        self._clients = clients
        self._on_event = on_event
        self._parallelism = parallelism
        self._prober = prober

    def deploy(self, planned: PreparedPlan, candidate: ReleaseCandidate, on_failure: OnFailure) -> DeployResult:
        """Apply the plan for ``candidate``; on failure roll back to the last healthy release if the project says so.

        ``on_failure`` is called with the cause before the rollback.  Raises Problems or AwsError as the pipeline does,
        and Problems (exit code 6) if a person has to say which part of an earlier release was at fault.
        """
        candidate.pin_resolution.raise_if_undecided()
        return replace(self._deploy(planned, candidate, on_failure), held=candidate.pin_resolution.notes)

    def _deploy(self, planned: PreparedPlan, candidate: ReleaseCandidate, on_failure: OnFailure) -> DeployResult:
        current_release = candidate.ledger.current_release
        has_changes = bool(planned.plan.pending_changes) or _has_other_approval(candidate)
        if current_release is not None and current_release.is_complete and not has_changes:
            return self._confirm_unchanged(planned, candidate, current_release)
        # A release that did not complete says what it intended, not what AWS holds.
        previous_release = candidate.ledger.last_complete
        started_release = self._record_start(planned, candidate, previous_release.vector if previous_release else None)
        ship_result = self._ship(planned, candidate)
        if not ship_result.cause:
            return self._record_release(started_release, ship_result, candidate)
        on_failure(ship_result.cause)
        if ship_result.has_changed_nothing and (current_release is None or current_release.is_complete):
            return self._discard_start(started_release, ship_result, current_release)
        failed_release, cleanup_warnings = self._record_failure(started_release, ship_result, candidate)
        failed_result = DeployResult(
            "failed", ship_result, None, failed_release, ship_result.cause, warnings=cleanup_warnings
        )
        if ship_result.is_unverified:
            return failed_result  # the state is unknown: roll back only from a known failure
        try:
            ledger = self._store.read()
            target_release = self._choose_automatic_rollback(ledger, candidate)
            rollback_target = rollback.prepare(ledger, target_release, (), self._store) if target_release else None
        except Problems as error:
            return replace(failed_result, rollback_result=ShipResult((), None, error=_join_messages(error)))
        return (
            replace(
                self._rollback_automatically(ship_result, failed_release, rollback_target), warnings=cleanup_warnings
            )
            if rollback_target
            else failed_result
        )

    def rollback(
        self, planned: PreparedPlan, rollback_target: RollbackTarget, reason: str, on_failure: OnFailure
    ) -> DeployResult:
        """Apply the plan of a rollback; on failure restore the release that was current before, if it was complete."""
        started_release = self._record_start(
            planned,
            rollback_target.candidate,
            rollback_target.release.vector,
            rollback_of=rollback_target.release.number,
            reason=reason,
        )
        ship_result = self._ship(planned, rollback_target.candidate)
        if not ship_result.cause:
            return self._record_release(started_release, ship_result, rollback_target.candidate, rollback_target)
        on_failure(ship_result.cause)
        failed_release, cleanup_warnings = self._record_failure(started_release, ship_result, rollback_target.candidate)
        if rollback_target.fallback is None or ship_result.is_unverified:
            return DeployResult(
                "failed", ship_result, None, failed_release, ship_result.cause, warnings=cleanup_warnings
            )
        rollback_result = self._plan_and_ship(rollback_target.fallback)
        if rollback_result.cause:
            return DeployResult(
                "failed", ship_result, None, failed_release, ship_result.cause, rollback_result, cleanup_warnings
            )
        # Record the restored release as a new one: otherwise the failed attempt would be the newest entry.
        restored_release = replace(
            rollback_target.current_release,
            number=0,
            at=ledger_entry.utc_timestamp(),
            of=rollback_target.current_release.number,
            reason=ship_result.cause,
        )
        with _explain_unrecorded(f"release {rollback_target.current_release.number} is restored ({ship_result.cause})"):
            restored_release = self._save_release(restored_release, rollback_target.fallback)
        return DeployResult(
            "returned",
            ship_result,
            restored_release.number,
            restored_release,
            ship_result.cause,
            rollback_result,
            cleanup_warnings,
        )

    def _confirm_unchanged(
        self, planned: PreparedPlan, candidate: ReleaseCandidate, current_release: Release
    ) -> DeployResult:
        """Verify the current release when the plan has no changes; remove the pins that the checkout has lifted."""
        ship_result = verify(candidate, self._on_event, clients=self._clients, prober=self._prober, planned=planned)
        if ship_result.cause:
            return DeployResult("failed", ship_result, current_release.number, current_release, ship_result.cause)
        if changed_parts := self._find_outside_changes(ship_result, candidate, current_release):
            return self._record_outside_changes(ship_result, candidate, current_release, changed_parts)
        if candidate.pin_resolution.lifted:
            self._store.write(lambda ledger: replace(ledger, pins=_pins_without_lifted(ledger.pins, candidate)))
        warnings = site_archive.restore_archives(candidate, self._clients, self._store)
        return DeployResult("unchanged", ship_result, current_release.number, current_release, warnings=warnings)

    def _find_outside_changes(
        self, ship_result: ShipResult, candidate: ReleaseCandidate, current_release: Release
    ) -> tuple[str, ...]:
        """Return what AWS holds otherwise than the current release says: something else than a deploy changed it."""
        assert ship_result.verification is not None
        recorded = current_release.vector
        vector = live_versions.read_vector(
            candidate, ship_result.verification.live, self._clients, recorded, recorded.schemas
        )
        return live_versions.list_differences(recorded, vector)

    def _record_outside_changes(
        self,
        ship_result: ShipResult,
        candidate: ReleaseCandidate,
        current_release: Release,
        changed_parts: tuple[str, ...],
    ) -> DeployResult:
        """Record what AWS holds as a release of its own, so that a rollback starts from what is served."""
        origin, reason = self._origin, f"changed outside of a deploy: {', '.join(changed_parts)}"
        draft = Release(
            0,
            ledger_entry.utc_timestamp(),
            origin.actor,
            origin.commit,
            current_release.vector,
            "started",
            reason=reason,
        )
        result = self._record_release(draft, ship_result, candidate)
        warning = f"since release {current_release.number}, {', '.join(changed_parts)} changed outside of a deploy"
        return replace(result, warnings=(warning, *result.warnings))

    def _record_start(
        self,
        planned: PreparedPlan,
        candidate: ReleaseCandidate,
        previous_vector: Vector | None,
        rollback_of: int | None = None,
        reason: str = "",
    ) -> Release:
        """Record the release as started, unless the release bucket does not exist yet (before the first deploy)."""
        schemas = schema_versions.read_schema_versions(candidate.ledger, self._store)
        vector = live_versions.intended_vector(candidate, previous_vector, schemas)
        origin, digest = self._origin, planned.plan.digest
        promotion = candidate.promotion
        draft = Release(
            0,
            ledger_entry.utc_timestamp(),
            origin.actor,
            promotion.release.commit if promotion and promotion.release else origin.commit,
            vector,
            "started",
            digest,
            rollback_of,
            reason=reason,
            uncommitted=origin.uncommitted,
            promoted_from=promotion.origin if promotion else "",
            bases={handle: image.bases for handle, image in candidate.artefacts.images.items() if image.bases},
        )
        return self._save_release(draft, candidate)

    def _save_release(self, release: Release, candidate: ReleaseCandidate) -> Release:
        """Save ``release`` and return it as recorded; return it unchanged while the release bucket does not exist."""
        if not release.number and not self._store.exists():
            return release
        ledger = self._store.write(
            lambda current_ledger: ledger_entry.add_release(current_ledger, release, candidate, current_ledger.pins)
        )
        return ledger.find(release.number) or ledger.releases[-1]

    def _record_failure(
        self, started_release: Release, ship_result: ShipResult, candidate: ReleaseCandidate
    ) -> tuple[Release, tuple[str, ...]]:
        """Record the failure.  If that fails, return warnings: rolling back matters more than the record."""
        failed_release = _record_changes(started_release, ship_result)
        failed_release = replace(failed_release, result="failed", reason=ship_result.cause)
        try:
            return self._save_release(failed_release, candidate), ()
        except Problems as error:
            return failed_release, tuple(
                f"the failure could not be recorded: {problem.message}" for problem in error.problems
            )

    def _discard_start(
        self, started_release: Release, ship_result: ShipResult, current_release: Release | None
    ) -> DeployResult:
        """Remove the entry of a deploy that failed before it changed anything: there is nothing to roll back from."""
        warnings: tuple[str, ...] = ()

        def discard(ledger: Ledger) -> Ledger:
            kept = tuple(release for release in ledger.releases if release.number != started_release.number)
            return manifest_documents.prune_documents(replace(ledger, releases=kept))

        try:
            if started_release.number:
                self._store.write(discard)
        except Problems as error:
            warnings = (f"the ledger could not be updated: {_join_messages(error)}",)
        number = current_release.number if current_release else None
        return DeployResult("failed", ship_result, number, None, ship_result.cause, warnings=warnings)

    def _choose_automatic_rollback(self, ledger: Ledger, candidate: ReleaseCandidate) -> Release | None:
        """Return the release to restore; None if the project disables it or there is none.

        Prefers one that is known to be complete still; if none is, trying is better than stopping.
        """
        project = next(component for component in candidate.desired.components if component.kind == "Project")
        if project.spec["releases"]["onFailure"] == "stop" or not rollback.list_candidates(ledger):
            return None
        try:
            return rollback.choose_restorable(ledger, self._store, Reader(self._clients))[0]
        except Problems:
            return rollback.choose_release(ledger, None)

    def _ship(self, planned: PreparedPlan, candidate: ReleaseCandidate) -> ShipResult:
        return ship(
            planned,
            candidate,
            self._on_event,
            parallelism=self._parallelism,
            clients=self._clients,
            prober=self._prober,
        )

    def _plan_and_ship(self, candidate: ReleaseCandidate) -> ShipResult:
        """Plan and ship an earlier release.  A veto or a problem becomes the result's error."""
        try:
            return self._ship(pipeline.plan(candidate.desired, clients=self._clients), candidate)
        except Problems as error:
            return ShipResult((), None, error=_join_messages(error))

    def _record_release(
        self,
        started_release: Release,
        ship_result: ShipResult,
        candidate: ReleaseCandidate,
        rollback_target: RollbackTarget | None = None,
    ) -> DeployResult:
        """Record the finished release with its pins, and clean up what no release needs."""
        assert ship_result.verification is not None
        result: ReleaseResult = "healthy" if ship_result.probe_results else "unproved"
        retained = ship_result.verification.retained

        def add_release(current_ledger: Ledger) -> Ledger:
            updated_pins = (
                _pins_after_rollback(rollback_target, current_ledger, new_release)
                if rollback_target
                else _pins_without_lifted(current_ledger.pins, candidate)
            )
            return replace(
                ledger_entry.add_release(current_ledger, new_release, candidate, updated_pins), retained=retained
            )

        with _explain_unrecorded(
            f"rolled back to release {rollback_target.release.number}" if rollback_target else "the release is deployed"
        ):
            vector = live_versions.read_vector(
                candidate,
                ship_result.verification.live,
                self._clients,
                started_release.vector,
                started_release.vector.schemas,
            )
            finished_release = _record_changes(started_release, ship_result)
            verified_at = ledger_entry.utc_timestamp()
            new_release = replace(finished_release, vector=vector, result=result, verified_at=verified_at)
            live_versions.save_model_pointers(candidate, vector, self._clients, self._store)
            archive_warnings = site_archive.restore_archives(candidate, self._clients, self._store)
            ledger = self._store.write(add_release)
        new_release = ledger.find(new_release.number) or ledger.releases[-1]
        cleanup_warnings = garbage_collection.GarbageCollector(self._clients, self._store, candidate.desired).collect(
            ledger
        )
        warnings = (*archive_warnings, *cleanup_warnings)
        return DeployResult("released", ship_result, new_release.number, new_release, warnings=warnings)

    def _rollback_automatically(
        self, ship_result: ShipResult, failed_release: Release, rollback_target: RollbackTarget
    ) -> DeployResult:
        """Roll back after a failed deploy; pin the build if it is to blame, but not if an API call failed."""
        target_release = rollback_target.release
        rollback_result = self._plan_and_ship(rollback_target.candidate)
        if rollback_result.cause or rollback_result.verification is None:
            return DeployResult("failed", ship_result, None, failed_release, ship_result.cause, rollback_result)
        origin, cause, retained = self._origin, ship_result.cause, rollback_result.verification.retained

        def add_release(current_ledger: Ledger) -> Ledger:
            updated_pins = (
                _pins_after_rollback(rollback_target, current_ledger, restored_release, ship_result.faulty_components)
                if ship_result.is_build_failure
                else current_ledger.pins
            )
            return replace(
                ledger_entry.add_release(current_ledger, restored_release, rollback_target.candidate, updated_pins),
                retained=retained,
            )

        with _explain_unrecorded(f"release {target_release.number} is restored ({cause})"):
            vector = live_versions.read_vector(
                rollback_target.candidate,
                rollback_result.verification.live,
                self._clients,
                target_release.vector,
                rollback_target.schemas,
            )
            draft = Release(
                0,
                ledger_entry.utc_timestamp(),
                origin.actor,
                origin.commit,
                vector,
                target_release.result,
                of=target_release.number,
            )
            restored_release = replace(draft, reason=cause)
            saved_release = self._store.write(add_release).releases[-1]
        return DeployResult(
            "returned", ship_result, saved_release.number, saved_release, ship_result.cause, rollback_result
        )


@contextmanager
def _explain_unrecorded(summary: str) -> Iterator[None]:
    """Convert an error while recording into Problems that begin with ``summary``, the state of AWS."""
    try:
        yield
    except (AwsError, Problems) as error:
        error_messages = [item.message for item in error.problems] if isinstance(error, Problems) else [str(error)]
        messages = (f"{summary}, but could not be recorded: {item}" for item in error_messages)
        hint = "run the command again: only the ledger entry is missing"
        raise Problems([Problem(message, hint=hint) for message in messages]) from None


def _has_other_approval(candidate: ReleaseCandidate) -> bool:
    """Return whether ``approval`` differs from that of the newest release.

    That is recorded although it changes nothing in AWS, because the next deploy is judged by what was released.
    """
    current_release = candidate.ledger.current_release
    documents = candidate.ledger.documents_of(current_release) if current_release else ()
    recorded = manifest_documents.read_approval(documents)
    return recorded not in ("", manifest_documents.read_approval(candidate.documents.values()))


def _join_messages(error: Problems) -> str:
    return "; ".join(problem.message for problem in error.problems)


def _record_changes(release: Release, ship_result: ShipResult) -> Release:
    return replace(release, changes=ship_result.applied_changes, snapshots=ship_result.snapshots)


def _pins_after_rollback(
    rollback_target: RollbackTarget, ledger: Ledger, release: Release, at_fault: frozenset[str] = frozenset()
) -> tuple[Pin, ...]:
    new_pins = pins.create_pins(
        rollback_target.current_release,
        rollback_target.release,
        ledger,
        rollback_target.parts,
        release.at,
        release.by,
        release.reason,
        at_fault,
    )
    return pins.merge_pins(ledger, new_pins)


def _pins_without_lifted(current_pins: tuple[Pin, ...], candidate: ReleaseCandidate) -> tuple[Pin, ...]:
    lifted = set(candidate.pin_resolution.lifted)
    return tuple(pin for pin in current_pins if pin not in lifted)
