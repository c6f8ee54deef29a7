"""Carrying a plan out in front of somebody: progress while it runs, the report when it ends."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from orchestrator.planning.events import (
    ChangeFinished,
    ChangeStarted,
    Event,
    ProbeFinished,
    ProbeStarted,
    StepCompleted,
    WaitStarted,
)
from orchestrator.problems import ExitCode
from orchestrator.render import apply_report
from orchestrator.render.progress import LineDisplay, ProgressDisplay, ProgressState, TableDisplay
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import Outcome

if TYPE_CHECKING:
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.lock import WriteLock

INTERRUPTED_EXIT_CODE = 130


def review_and_apply(
    planned: PreparedPlan,
    settings: Settings,
    lock: WriteLock,
    approval: Approval,
    prompt: tuple[str, str],
    retry_command: str,
    parallelism: int,
) -> int:
    """Show ``planned``, have somebody agree to it, and carry it out; the exit code.

    ``ask`` is the question, with ``{count}`` and ``{place}``, and the word that says yes; ``again`` is how to go on.
    Raises Problems when it is not what was reviewed, or nobody agrees.
    """
    from orchestrator.runs import plan_output, reporter

    plan, record, terminal = planned.plan, lock.record, settings.terminal
    reporter.record_chosen_plan(record, planned)
    with reporter.record_refusal(record):
        approval.refuse_stale(plan)
    plan_output.print_plan(terminal, planned, approval.detail(verbose=settings.verbose))
    if plan.is_vetoed:
        reporter.record_veto(record, plan)
        return ExitCode.VETOED
    if not plan.pending_changes:
        return report_no_changes(planned, settings)
    environment_name = f"{plan.project}/{plan.environment} in account {plan.account}"
    question, expected_answer = prompt
    with reporter.record_refusal(record):
        approval.confirm(
            terminal, question.format(count=len(plan.pending_changes), place=environment_name), expected_answer
        )
    return apply_with_progress(planned, settings, parallelism, retry_command, lock)


def apply_with_progress(
    planned: PreparedPlan, settings: Settings, parallelism: int, retry_command: str, lock: WriteLock | None = None
) -> int:
    """Apply ``planned``, show how it goes and what became of it; the exit code.  ``again`` is how to go on.

    The record of ``turn`` is told all of it, and its clients stop the run when somebody else writes.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.planning.apply import InterruptedApplyError, exit_code
    from orchestrator.runs import reporter
    from orchestrator.state.client.run_reporter import RunReporter

    record = lock.record if lock else RunReporter()
    clients = lock.clients if lock else Clients(planned.scope.region)

    completed_addresses: list[str] = []
    started_at = time.monotonic()
    was_interrupted = False
    with create_display(planned, settings) as shown:

        def on_event(event: Event) -> None:
            if isinstance(event, ChangeFinished):
                completed_addresses.append(event.address)
            record.report_event(event)
            shown(event)

        try:
            outcomes = pipeline.apply(planned, on_event, parallelism=parallelism, clients=clients)
        except InterruptedApplyError as interruption:
            outcomes, was_interrupted = interruption.outcomes, True
    outcomes = tuple(_sort_by_completion(outcomes, completed_addresses))
    report_view = apply_report.build_view(
        outcomes, time.monotonic() - started_at, retry_command, settings.command_line("plan")
    )
    reporter.record_outcomes(record, outcomes, report_view.next_command, interrupted=was_interrupted)
    settings.terminal.print_out("\n" + apply_report.render_text(report_view, settings.terminal.style))
    return INTERRUPTED_EXIT_CODE if was_interrupted else exit_code(outcomes)


def report_no_changes(planned: PreparedPlan, settings: Settings) -> int:
    """The exit code when no change is pending: what is there may still be unwell."""
    from orchestrator.vocabulary import Health

    settings.terminal.print_out("No changes.")
    is_healthy = all(change.health is Health.HEALTHY for change in planned.plan.changes)
    return ExitCode.OK if is_healthy else ExitCode.UNHEALTHY


def create_display(planned: PreparedPlan, settings: Settings) -> ProgressDisplay:
    """The display that fits: a log, a table in place, or plain lines."""
    terminal = settings.terminal
    if log := settings.create_logger():
        return LogDisplay(log)
    board = ProgressState(planned.plan.pending_changes)
    if terminal.is_live:
        return TableDisplay(board, terminal.err, colour=terminal.has_colour)
    return LineDisplay(board, terminal.print_err, terminal.style, is_github_actions=terminal.is_github_actions)


class LogDisplay:
    """Events as log entries."""

    def __init__(self, logger: Any) -> None:
        self._logger = logger

    def __enter__(self) -> LogDisplay:
        return self

    def __exit__(self, *_: object) -> None:
        return

    def __call__(self, event: Event) -> None:
        match event:
            case ChangeStarted(address, action):
                self._logger.info("started", address=address, action=action.value)
            case StepCompleted(address, step, seconds):
                self._logger.debug("step done", address=address, step=step.action, note=step.note, seconds=seconds)
            case WaitStarted(address, description, seconds):
                self._logger.info("waiting", address=address, what=description, seconds=seconds)
            case ProbeStarted(address, description):
                self._logger.info("proving", address=address, what=description)
            case ProbeFinished(address, has_passed, failure, seconds):
                self._logger.info(
                    "proved" if has_passed else "not proved", address=address, saw=failure, seconds=seconds
                )
            case ChangeFinished(address, outcome):
                self._logger.info(
                    "finished",
                    address=address,
                    action=outcome.action.value,
                    actuation=outcome.actuation.value,
                    health=outcome.health.value,
                    reason=outcome.reason,
                    seconds=outcome.seconds,
                )


def _sort_by_completion(outcomes: Sequence[Outcome], completed_addresses: Sequence[str]) -> list[Outcome]:
    """In the order in which they ended: the first failure is the first cause."""
    order = {address: position for position, address in enumerate(completed_addresses)}
    return sorted(outcomes, key=lambda outcome: order.get(outcome.address, len(order)))
