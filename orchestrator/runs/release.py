"""Deploying and going back in front of somebody: progress, and the report at the end."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec import Struct, field
from msgspec.structs import replace

from orchestrator.problems import ExitCode, Problem, Problems
from orchestrator.render import apply_report
from orchestrator.runs import apply, lock, plan_output, reporter
from orchestrator.runs.approval import Approval
from orchestrator.runs.settings import Settings
from orchestrator.state.client.run_reporter import RunReporter

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.manifest.check import Manifest
    from orchestrator.planning.events import Event
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.deploy import Deployment, DeployResult, OnFailure
    from orchestrator.release.ledger_store import LedgerStore
    from orchestrator.release.rollback import RollbackTarget
    from orchestrator.render.deploy_view import DeployView
    from orchestrator.state.protocol.records import RunVerb

INTERRUPTED_EXIT_CODE = apply.INTERRUPTED_EXIT_CODE
EXIT_CODES = {
    "released": ExitCode.OK,
    "unchanged": ExitCode.OK,
    "failed": ExitCode.FAILED,
    "returned": ExitCode.ROLLED_BACK,
}


class DeployRun(Struct, frozen=True):
    """How a run ended: its exit code, and what it came to unless it was interrupted."""

    exit_code: int
    result: DeployResult | None = None
    view: DeployView | None = None


class ReleaseSession(Struct, frozen=True):
    """What a deploy and a rollback are begun with; ``record`` is told while one of them is ``writing``."""

    settings: Settings
    manifest: Manifest
    clients: Clients
    store: LedgerStore
    approval: Approval
    record: RunReporter = field(default_factory=RunReporter)

    def build_sites(self) -> None:
        """Run the build command of every site that has one.

        Raises Problems.
        """
        from orchestrator.artefacts.sites import build_command
        from orchestrator.manifest import expand

        for component in expand.build_stack(self.manifest).components.values():
            if (component.spec.get("spa") or {}).get("build"):
                self.settings.terminal.print_out(f"Building the site of {component.handle} ...")
                build_command.build_site(component)

    @contextmanager
    def acquire_lock(self, verb: RunVerb, options: reporter.RunOptions) -> Iterator[ReleaseSession]:
        """Be the only one who writes, for the length of a ``with`` block: the desk for that.

        Waits as ``how`` says.  Raises Problems when somebody else writes or the state service is needed and away, and
        Superseded when a newer run makes this one needless.
        """
        with lock.write_lock(self.settings, self.manifest.scope, verb, options, self.clients, self.store) as turn:
            yield replace(self, clients=turn.clients, store=self.store.with_caller(turn.clients), record=turn.record)

    def show_plan(self, planned: PreparedPlan) -> bool:
        """Show a plan; whether it may be carried out.

        Raises Problems when it is not what was reviewed.
        """
        reporter.record_chosen_plan(self.record, planned)
        with reporter.record_refusal(self.record):
            self.approval.refuse_stale(planned.plan)
        plan_output.print_plan(self.settings.terminal, planned, self.approval.detail(verbose=self.settings.verbose))
        if planned.plan.is_vetoed:
            reporter.record_veto(self.record, planned.plan)
        return not planned.plan.is_vetoed

    def confirm(self, planned: PreparedPlan, action_name: str) -> None:
        """Have somebody agree to ``deed``, unless it was agreed to, or nothing is to change.

        Raises Problems when nobody does.
        """
        plan = planned.plan
        if plan.pending_changes:
            environment_name = f"{plan.project}/{plan.environment} in account {plan.account}"
            question = (
                f"{action_name}: {len(plan.pending_changes)} changes to {environment_name}? Only 'yes' is accepted:"
            )
            with reporter.record_refusal(self.record):
                self.approval.confirm(self.settings.terminal, question, "yes")

    def execute(
        self,
        planned: PreparedPlan,
        operation: Callable[[Deployment, OnFailure], DeployResult],
        parallelism: int,
        retry_command: str,
    ) -> int:
        """Do ``work``, show how it goes and how it ended; the exit code.  ``again`` is how to go on."""
        return self.execute_deployment(planned, operation, parallelism, retry_command).exit_code

    def execute_deployment(
        self,
        planned: PreparedPlan,
        operation: Callable[[Deployment, OnFailure], DeployResult],
        parallelism: int,
        retry_command: str,
    ) -> DeployRun:
        """As ``carry_out``, with how it ended for whoever else has to be told."""
        from orchestrator.planning.apply import InterruptedApplyError
        from orchestrator.release import ledger_entry
        from orchestrator.release.deploy import Deployment
        from orchestrator.render import deploy_view

        settings, started_at = self.settings, time.monotonic()
        with apply.create_display(planned, settings) as display:

            def on_event(event: Event) -> None:
                self.record.report_event(event)
                display(event)

            origin = ledger_entry.detect_origin(settings.manifests)
            deployment = Deployment(self.store, origin, self.clients, on_event, parallelism=parallelism)
            try:
                result = operation(deployment, lambda cause: _print_failure(settings, cause))
            except InterruptedApplyError as interruption:
                reporter.record_outcomes(self.record, interruption.outcomes, retry_command, interrupted=True)
                return DeployRun(
                    _print_interruption(interruption.outcomes, settings, time.monotonic() - started_at, retry_command)
                )
        result_view = deploy_view.build_view(
            result,
            time.monotonic() - started_at,
            retry_command=retry_command,
            list_command=settings.command_line("releases"),
        )
        settings.terminal.print_out("\n" + deploy_view.render_text(result_view, settings.terminal.style))
        self._record_result(result, result_view)
        return DeployRun(EXIT_CODES[result.status], result, result_view)

    def _record_result(self, result: DeployResult, result_view: DeployView) -> None:
        """Tell the service how it ended, and the releases as they stand now."""
        record = self.record
        if record.run is None:
            return
        from orchestrator.aws import Reader
        from orchestrator.render import drift
        from orchestrator.state.client import payloads, release_payloads

        run_end, run, verification = (
            payloads.build_release_result(result, result_view),
            record.run,
            (result.rollback_result or result.ship_result).verification,
        )
        record.set_result(run_end)
        if verification is not None:
            record.report_drift(
                payloads.build_drift_report(drift.build_view(verification.plan), run.environment, run.by, run.commit)
            )

        def send() -> None:
            ledger, reader = self.store.read(), Reader(self.clients)
            record.report_releases(
                release_payloads.build_release_payloads(
                    ledger, run.environment, run.id, run_end.release or 0, self.store, reader
                )
            )

        reporter.try_recording(self.settings, "the releases", send)


def open_session(
    settings: Settings, expected_digest: str = "", *, auto_approve: bool = False, clients: Clients | None = None
) -> ReleaseSession:
    """Check the manifests and find the release bucket; ``clients`` that are there already save making new ones.

    Raises Problems.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = clients or Clients(manifest.scope.region)
    approval = Approval(None, expected_digest, auto_approve)
    return ReleaseSession(settings, manifest, clients, checkout.require_store(manifest, clients), approval)


def find_rollback_target(
    session: ReleaseSession, release_number: int | None, part_list: str, *, should_save_pointers: bool
) -> RollbackTarget:
    """The rollback to release ``number``, or to the last good one; ``only`` has parts, comma-separated.

    A model that was uploaded since the last release is left as well; ``keeping`` writes down by what it can come again.

    Raises Problems when there is no such release, or it cannot come back.
    """
    from orchestrator.aws import Reader
    from orchestrator.model_registry import model_rollback
    from orchestrator.release import restorability, rollback

    part_words = [part_word.strip() for part_word in part_list.split(",") if part_word.strip()]
    ledger, pointers = session.store.read(), model_rollback.read_pointers(session.manifest, session.clients)
    updated_ledger = model_rollback.with_uploaded_models(ledger, pointers)
    if (
        release_number is None
        and part_words
        and model_rollback.is_models_only(part_words)
        and ledger.current_release is not None
    ):
        target_release = model_rollback.find_previous_release(ledger, pointers)
    else:
        target_release = rollback.choose_release(
            ledger if release_number is not None else updated_ledger, release_number
        )
    if obstacles := restorability.find_obstacles(ledger, target_release, session.store, Reader(session.clients)):
        hint = f"see what can come back: {session.settings.command_line('releases')}"
        raise Problems(
            [
                Problem(f"release {target_release.number} cannot come back: {obstacle}", hint=hint)
                for obstacle in obstacles
            ]
        )
    if should_save_pointers:
        model_rollback.save_pointers(pointers, session.store)
    return rollback.prepare(updated_ledger, target_release, part_words, session.store)


def describe_rollback(rollback_target: RollbackTarget) -> str:
    """What a rollback is about, in a line."""
    target_release = rollback_target.release
    part_phrase = "all of it" if rollback_target.is_full else f"{', '.join(sorted(rollback_target.parts))} of it"
    return (
        f"Back to release {target_release.number} of {target_release.at} "
        f"({part_phrase}), from release {rollback_target.current_release.number}."
    )


def _print_failure(settings: Settings, cause: str) -> None:
    """Tell the first sentence of a cause, before anything is done about it; a table shows it in its own place."""
    if not settings.terminal.is_live:
        settings.terminal.print_err(f"It failed: {cause.partition('. ')[0].rstrip('.')}.")


def _print_interruption(
    outcomes: tuple[object, ...], settings: Settings, elapsed_seconds: float, retry_command: str
) -> int:
    report_view = apply_report.build_view(outcomes, elapsed_seconds, retry_command, settings.command_line("plan"))  # type: ignore[arg-type]
    settings.terminal.print_out("\n" + apply_report.render_text(report_view, settings.terminal.style))
    return apply.INTERRUPTED_EXIT_CODE
