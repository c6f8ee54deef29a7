"""A release session: the state that a deploy or rollback shares, its progress, its report and its record."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.problems import ExitCode, Problems
from orchestrator.quantities import format_count
from orchestrator.runs import reporter
from orchestrator.runs.apply import print_report
from orchestrator.runs.approval import Approval
from orchestrator.runs.display import create_display
from orchestrator.runs.lock import write_lock
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.result import EXIT_CODES, DeployRun
from orchestrator.runs.settings import Settings
from orchestrator.state.client.run_reporter import RunReporter

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.planning.events import Event, OnEvent
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.deploy import Deployment, DeployResult, OnFailure
    from orchestrator.release.ledger_store import LedgerStore
    from orchestrator.release.shipped_commits import ShippedCommits
    from orchestrator.render.deploy_view import DeployView
    from orchestrator.state.protocol.records import RunVerb
    from orchestrator.vocabulary import Outcome


class _Attempt(Struct):
    """How far a deploy or rollback came.

    ``result`` is None if it was interrupted, with the ``outcomes`` of its changes if they were in progress.
    ``has_failed``: the release has failed, and the one before is being restored.
    """

    result: DeployResult | None = None
    outcomes: tuple[Outcome, ...] = ()
    has_probed: bool = False
    has_failed: bool = False


class ReleaseSession(Struct, frozen=True):
    """State of a deploy or rollback; once the environment is locked, ``record`` receives its events.

    ``uncommitted`` is a hash of what the checkout has beyond its commit, or "".
    """

    settings: Settings
    manifest: Manifest
    clients: Clients
    store: LedgerStore
    approval: Approval
    record: RunReporter = field(default_factory=RunReporter)
    uncommitted: str = ""

    @contextmanager
    def acquire_lock(self, verb: RunVerb, options: RunOptions) -> Iterator[ReleaseSession]:
        """Lock the environment for the length of a ``with`` block, and yield the session to work with.

        Raises Problems if the environment is locked, or the state service is required and unreachable;
        RunSuperseded if a newer run makes this one unnecessary.
        """
        with write_lock(self.settings, self.manifest.scope, verb, options, self.clients, self.store) as lock:
            yield replace(self, clients=lock.clients, store=self.store.with_caller(lock.clients), record=lock.record)

    def confirm(self, planned: PreparedPlan, action: str) -> None:
        """Ask for approval of ``action``, unless it is approved or nothing changes.  Raises Problems if refused."""
        plan = planned.plan
        if plan.pending_changes:
            place = f"{plan.project}/{plan.environment} in account {plan.account}"
            changes = format_count(len(plan.pending_changes), "change")
            question = f"{action}: {changes} to {place}? Only 'yes' is accepted:"
            with reporter.record_refusal(self.record):
                self.approval.confirm(self.settings.terminal, question, "yes")

    def execute(
        self,
        planned: PreparedPlan,
        operation: Callable[[Deployment, OnFailure], DeployResult],
        parallelism: int,
        retry_command: str,
    ) -> DeployRun:
        """Run ``operation``, show its progress and report, record its result, and return it."""
        from orchestrator.render import deploy_view

        settings, started_at = self.settings, time.monotonic()
        with create_display(planned, settings) as display:
            attempt = self._attempt(planned, operation, parallelism, display)
        elapsed_seconds = time.monotonic() - started_at
        if attempt.result is None:
            return self._report_interruption(planned, attempt, elapsed_seconds, retry_command)
        view = deploy_view.build_view(
            attempt.result,
            elapsed_seconds,
            retry_command=retry_command,
            list_command=settings.command_line("releases"),
            commits=self._list_shipped(attempt.result),
            environment=planned.plan.environment,
        )
        settings.terminal.print_out("\n" + deploy_view.render_text(view, settings.terminal.style))
        self._record_result(attempt.result, view)
        return DeployRun(EXIT_CODES[attempt.result.status], planned.plan, attempt.result, view)

    def _attempt(
        self,
        planned: PreparedPlan,
        operation: Callable[[Deployment, OnFailure], DeployResult],
        parallelism: int,
        on_event: OnEvent,
    ) -> _Attempt:
        """Run ``operation`` and return its result, or how far it came when it was interrupted."""
        from orchestrator.planning.apply import InterruptedApplyError
        from orchestrator.planning.events import ProbeStarted
        from orchestrator.release import ledger_entry
        from orchestrator.release.deploy import Deployment

        settings, attempt = self.settings, _Attempt()

        def handle_event(event: Event) -> None:
            attempt.has_probed |= isinstance(event, ProbeStarted)
            self.record.report_event(event)
            on_event(event)

        def handle_failure(cause: str) -> None:
            attempt.has_failed = True
            _print_failure(settings, cause)

        origin = replace(ledger_entry.detect_origin(settings.manifests), uncommitted=self.uncommitted)
        deployment = Deployment(self.store, origin, self.clients, handle_event, parallelism=parallelism)
        try:
            attempt.result = operation(deployment, handle_failure)
        except InterruptedApplyError as interruption:
            attempt.outcomes = interruption.outcomes
        except KeyboardInterrupt:  # not during an apply
            attempt.outcomes = ()
        return attempt

    def _report_interruption(
        self, planned: PreparedPlan, attempt: _Attempt, elapsed_seconds: float, retry_command: str
    ) -> DeployRun:
        """Report how far the run came, and the next command: after a failure the one that completes the rollback."""
        from orchestrator.render import apply_report

        step = apply_report.INTERRUPTED_VERIFICATION if attempt.has_probed else apply_report.INTERRUPTED_STEP
        if attempt.has_failed:
            step, retry_command = apply_report.INTERRUPTED_ROLLBACK, self.settings.command_line("rollback")
        print_report(attempt.outcomes, self.settings, elapsed_seconds, retry_command, interrupted_step=step)
        reporter.record_outcomes(self.record, attempt.outcomes, retry_command, interrupted=True)
        return DeployRun(ExitCode.INTERRUPTED, planned.plan)

    def _list_shipped(self, result: DeployResult) -> ShippedCommits | None:
        """Return the commits that a deploy has shipped; None after a rollback or failure, and of the first release."""
        from orchestrator.release.live_parts import find_artefact_commit
        from orchestrator.release.shipped_commits import list_shipped_commits

        release = result.release
        if result.status != "released" or release is None or release.of is not None:
            return None
        with suppress(Problems):  # that the release is recorded is said elsewhere
            ledger = self.store.read()
            earlier = tuple(item for item in ledger.releases if item.number < release.number and item.is_complete)
            base_commit = find_artefact_commit(replace(ledger, releases=earlier))
            return list_shipped_commits(self.settings.manifests, base_commit, release.commit) if earlier else None
        return None

    def _record_result(self, result: DeployResult, view: DeployView) -> None:
        """Send the result and the releases as they are now to the state service."""
        record = self.record
        if record.run is None:
            return
        from orchestrator.aws import Reader
        from orchestrator.render import drift
        from orchestrator.state.client import payloads, release_payloads

        run, run_result = record.run, payloads.build_release_result(result, view, is_workflow=bool(record.run.url))
        record.set_result(run_result)
        verification = (result.rollback_result or result.ship_result).verification
        if verification is not None:
            report = payloads.build_drift_report(
                drift.build_view(verification.plan), run.environment, run.by, run.commit
            )
            record.report_drift(report)

        def send_releases() -> None:
            ledger, reader = self.store.read(), Reader(self.clients)
            releases = release_payloads.build_release_payloads(
                ledger,
                run.environment,
                replace(run, release=run_result.release),
                self.store,
                reader,
                self.settings.manifests,
            )
            addresses = tuple(url for _, url in view.addresses)
            record.report_releases(
                replace(item, record=replace(item.record, addresses=addresses)) if item.record.run else item
                for item in releases
            )

        reporter.try_recording(self.settings, "the releases", send_releases)


def open_session(
    settings: Settings, approval: Approval | None = None, *, clients: Clients | None = None
) -> ReleaseSession:
    """Check the manifests and find the release bucket.  Raises Problems if either fails."""
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = clients or Clients.for_scope(manifest.scope)
    return ReleaseSession(
        settings, manifest, clients, checkout.require_store(manifest, clients), approval or Approval()
    )


def _print_failure(settings: Settings, cause: str) -> None:
    """Print the first sentence of ``cause`` before the rollback starts, unless the progress table shows it."""
    if not settings.terminal.is_live:
        sentence = cause.partition("\n")[0].partition(". ")[0].rstrip(".")
        settings.terminal.print_err(f"Failed: {sentence}.")
