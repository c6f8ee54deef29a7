"""Report runs, plans and drift to the state service, if ``ORCHESTRATOR_STATE_URL`` is set.

Plans never depend on the service.
"""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager, nullcontext
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from orchestrator.problems import Problems
from orchestrator.quantities import format_count
from orchestrator.runs import context
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Reader
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release import Ledger
    from orchestrator.release.ledger_store import LedgerStore
    from orchestrator.render.drift import DriftView
    from orchestrator.state.client.api_client import StateClient
    from orchestrator.state.client.journal import Journal
    from orchestrator.state.client.run_reporter import RunReporter
    from orchestrator.state.client.service_reporter import ServiceReporter
    from orchestrator.state.protocol.records import Run, RunVerb
    from orchestrator.state.protocol.requests import RunLeaseStatus
    from orchestrator.vocabulary import Outcome, Plan

MAX_WAIT_SECONDS = 86_400.0
"""Maximum time that ``--wait`` waits for the lock."""
BEST_EFFORT_TIMEOUT_SECONDS = 3.0
"""Timeout of requests that a run can do without."""
WORKFLOW_VERBS = frozenset({"deploy", "rollback"})
"""Kinds of runs with a workflow of that name."""
INTERRUPTED_TIMEOUT_SECONDS = 5.0
"""Timeout for reporting the end of an interrupted run; GitHub kills a cancelled job after a few seconds."""


class RunOptions(Struct, frozen=True):
    """How a run is recorded, and how long it waits for the lock.

    ``without_service``: keep a journal instead.  ``is_service_required``: fail if the run can be recorded neither by
    the service nor, with ``without_service``, in a journal; otherwise only another run, or a lack of permission, stops
    it.
    ``pull_request`` is the number of the one that merged the commit.
    """

    without_service: bool = False
    wait_seconds: float = 0.0
    is_service_required: bool = True
    reason: str = ""
    pull_request: int | None = None


@contextmanager
def record_run(settings: Settings, environment: str, verb: RunVerb, options: RunOptions) -> Iterator[RunReporter]:
    """Record a run with the state service for the length of a ``with`` block, and release its lease at the end.

    Raises Problems before the block starts if another run holds the lock, or the service does not answer.
    """
    from orchestrator.state.client.run_reporter import CLOSE_TIMEOUT_SECONDS, RunReporter

    if not is_configured() and not options.without_service:
        with interrupt_on_termination():
            yield RunReporter()
        return
    new_run = context.new_run(settings, environment, verb, options.reason, options.pull_request)
    with interrupt_on_termination(), _find_run_client(settings, options) or nullcontext() as client:
        record = _start_recording(settings, new_run, client, options)
        timeout_seconds = CLOSE_TIMEOUT_SECONDS
        try:
            yield record
        except BaseException as error:
            timeout_seconds = (
                INTERRUPTED_TIMEOUT_SECONDS if isinstance(error, KeyboardInterrupt) else CLOSE_TIMEOUT_SECONDS
            )
            record.set_default_result(_failure_result(error, settings, record.run))
            raise
        finally:
            if unsent_message := record.close(timeout_seconds):
                settings.terminal.print_err(unsent_message[:1].upper() + unsent_message[1:])


@contextmanager
def record_refusal(record: RunReporter) -> Iterator[None]:
    """Record a Problems of the ``with`` block as an interrupted run, not a failed one, because nothing was changed."""
    from orchestrator.state.protocol.records import RunResult

    try:
        yield
    except Problems as error:
        record.set_result(RunResult("interrupted", "", error.problems[0].message, error.problems[0].hint or ""))
        raise


def record_veto(record: RunReporter, plan: Plan) -> None:
    """Record that the plan is vetoed."""
    from orchestrator.state.protocol.records import RunResult

    vetoes = plan.all_vetoes
    record.set_result(RunResult("interrupted", "", f"vetoed: {vetoes[0].sentence}" if vetoes else "vetoed"))


def record_plan(settings: Settings, planned: PreparedPlan) -> None:
    """Record a plan with the state service, if one is configured; print a note if that fails."""
    from orchestrator.release import ledger_entry

    client = _find_client()
    if client is None:
        return
    origin = ledger_entry.detect_origin(settings.manifests)
    payload = plan_payload(planned, origin.actor, origin.commit)
    with client:
        path = f"/environments/{payload.environment}/plans/{payload.digest}"
        try_recording(
            settings,
            "the plan",
            lambda: client.request("PUT", path, payload, timeout_seconds=BEST_EFFORT_TIMEOUT_SECONDS),
        )


def record_drift(settings: Settings, drift_view: DriftView, planned: PreparedPlan) -> None:
    """Record a drift report with the state service, if one is configured; print a note if that fails."""
    from orchestrator.release import ledger_entry
    from orchestrator.runs.due_drills import describe_drills
    from orchestrator.state.client import payloads

    client = _find_client()
    if client is None:
        return
    origin = ledger_entry.detect_origin(settings.manifests)
    environment = f"{planned.plan.project}/{planned.plan.environment}"
    drills = describe_drills(planned)
    report = payloads.build_drift_report(drift_view, environment, origin.actor, origin.commit, drills)
    with client:
        path = f"/environments/{environment}/drift"
        try_recording(
            settings,
            "the drift report",
            lambda: client.request("POST", path, report, timeout_seconds=BEST_EFFORT_TIMEOUT_SECONDS),
        )


def record_review(settings: Settings, environment: str, findings: Iterable[tuple[str, tuple[str, ...]]]) -> None:
    """Record a review with the state service, if one is configured; print a note if that fails."""
    from orchestrator.release import ledger_entry
    from orchestrator.state.client import payloads

    client = _find_client()
    if client is None:
        return
    review = payloads.build_review(environment, ledger_entry.detect_origin(settings.manifests).actor, findings)
    with client:
        path = f"/environments/{environment}/review"
        try_recording(
            settings,
            "the review",
            lambda: client.request("POST", path, review, timeout_seconds=BEST_EFFORT_TIMEOUT_SECONDS),
        )


def record_releases(settings: Settings, ledger: Ledger, store: LedgerStore, reader: Reader, environment: str) -> None:
    """Record which releases can be restored now, and what is pinned, with the state service, if one is configured."""
    from orchestrator.state.client import release_payloads

    client = _find_client()
    if client is None:
        return
    path = f"/environments/{environment}/releases"

    def send() -> None:
        folder = settings.manifests
        for item in release_payloads.build_release_payloads(ledger, environment, None, store, reader, folder):
            number = item.record.release.number
            client.request("PUT", f"{path}/{number}", item, timeout_seconds=BEST_EFFORT_TIMEOUT_SECONDS)

    with client:
        try_recording(settings, "the releases", send)


def try_recording(settings: Settings, subject: str, send: Callable[[], object]) -> bool:
    """Call ``send`` and return whether it succeeded; print a note if the service is unreachable or refuses."""
    from orchestrator.state.client.api_client import RefusedError, UnreachableError

    try:
        send()
    except (UnreachableError, RefusedError, Problems) as error:
        settings.terminal.print_err(f"Could not record {subject}: {str(error)[:300]}")
        return False
    return True


def plan_payload(planned: PreparedPlan, actor: str, commit: str) -> Any:
    """Return the record of a plan for the state service."""
    from orchestrator.runs import plan_output
    from orchestrator.state.client import payloads

    before, after = plan_output.estimate_costs(planned) or (None, None)
    cost = plan_output.summarize_cost(planned)
    return payloads.build_plan_record(planned.plan, actor, commit, before, after, cost)


def record_chosen_plan(record: RunReporter, planned: PreparedPlan) -> None:
    """Record the plan that the run applies."""
    if record.run is not None:
        record.report_plan(plan_payload(planned, record.run.by, record.run.commit))


def record_unreviewed(record: RunReporter) -> None:
    """Record that the plan differs from the reviewed plan."""
    from orchestrator.state.protocol.records import RunResult

    record.set_result(RunResult("interrupted", "", "the plan differs from the reviewed plan; nothing was changed"))


def record_outcomes(
    record: RunReporter, outcomes: tuple[Outcome, ...], hint: str, *, interrupted: bool = False
) -> None:
    """Record the result of an apply."""
    if record.run is not None:
        from orchestrator.state.client import payloads

        record.set_result(payloads.build_apply_result(outcomes, hint, interrupted=interrupted))


def is_configured() -> bool:
    """Return whether a state service is configured."""
    return bool(os.environ.get("ORCHESTRATOR_STATE_URL"))


def find_client() -> StateClient | None:
    """Return a client of the state service, or None.  Raises Problems if its configuration is incomplete."""
    return _find_client()


def _find_client() -> StateClient | None:
    if not is_configured():
        return None
    from orchestrator.state.client.api_client import StateClient

    return StateClient.from_environ_if_set(os.environ)


def _start_recording(
    settings: Settings, started_run: Run, client: StateClient | None, options: RunOptions
) -> ServiceReporter:
    from orchestrator.state.client import service_reporter
    from orchestrator.state.client.api_client import RefusedError, UnreachableError

    terminal = settings.terminal
    journal = _open_journal(started_run, settings, options)
    journal_note = f"this run keeps {'no journal' if journal.failure else f'a journal in {journal.path}'}"
    if client is None or options.without_service:
        terminal.print_err(f"Not contacting the state service; {journal_note}")
        return service_reporter.start_offline(started_run, journal)
    printed_messages: list[str] = []

    def on_wait(queue_position: RunLeaseStatus) -> None:
        message = _waiting_message(queue_position)
        if message not in printed_messages:
            printed_messages.append(message)
            terminal.print_err(message)

    try:
        begin_timeout = (
            service_reporter.BEGIN_TIMEOUT_SECONDS if options.is_service_required else BEST_EFFORT_TIMEOUT_SECONDS
        )
        live_reporter = service_reporter.start_live(
            started_run,
            client,
            can_wait=options.wait_seconds > 0,
            wait_timeout_seconds=options.wait_seconds,
            on_wait=on_wait,
            begin_timeout_seconds=begin_timeout,
            journal=journal,
        )
    except (UnreachableError, RefusedError) as error:
        if options.is_service_required or (isinstance(error, RefusedError) and error.is_denial):
            raise service_reporter.begin_problems(started_run, error) from None
        reason = f"the state service cannot record this run: {error}" if isinstance(error, RefusedError) else str(error)
        terminal.print_err(f"{reason[:1].upper()}{reason[1:]}. Continuing without it; {journal_note}")
        return service_reporter.start_offline(started_run, _open_journal(started_run, settings, options))
    terminal.print_err(f"Recording this run: {client.url}/runs/{started_run.id}")
    return live_reporter


def _failure_result(error: BaseException, settings: Settings, run: Run | None) -> Any:
    """Return the result of a run that ended early; ``run`` has a URL if a workflow started it."""
    from orchestrator.render import workflow_dispatch
    from orchestrator.state.protocol.records import RunResult

    plan_command = settings.command_line("plan")
    if run is not None and run.url and run.verb in WORKFLOW_VERBS:
        plan_command = workflow_dispatch.format_command(run.verb, run.environment.rpartition("/")[2])
    match error:
        case KeyboardInterrupt():
            return RunResult("interrupted", "", "the run was stopped", plan_command)
        case Problems():
            problem = error.problems[0]
            return RunResult("failed", "", problem.message, problem.hint or plan_command)
        case _:
            return RunResult("failed", "", f"internal error: {type(error).__name__}", plan_command)


def _waiting_message(queue_position: RunLeaseStatus) -> str:
    holder = queue_position.lease.holder
    holder_name = f"{holder.owner} ({holder.reason})" if holder else "an earlier run"
    queue_phrase = f", {format_count(queue_position.position, 'run')} ahead" if queue_position.position else ""
    return f"Waiting for {holder_name}{queue_phrase} ..."


def _find_run_client(settings: Settings, options: RunOptions) -> StateClient | None:
    """Return the client of a run; None if its configuration is incomplete and the run does not need the service."""
    try:
        return _find_client()
    except Problems as error:
        if options.is_service_required:
            raise
        settings.terminal.print_err(f"Continuing without the state service: {error.problems[0].message}")
        return None


def _open_journal(started_run: Run, settings: Settings, options: RunOptions) -> Journal:
    """Return the journal of a run.  Raises Problems if it cannot be written and the run has to be recorded."""
    from orchestrator.state.client.journal import JOURNAL_DIR, Journal

    path = JOURNAL_DIR / f"{started_run.id}.jsonl"
    if options.is_service_required:
        return Journal(path)
    journal = Journal.create_if_possible(path)
    if journal.failure:
        settings.terminal.print_err(f"Continuing without a journal: {journal.failure}")
    return journal


@contextmanager
def interrupt_on_termination() -> Iterator[None]:
    """Turn SIGTERM (a cancelled job) and SIGHUP (a closed terminal) into KeyboardInterrupt during a ``with`` block.

    A signal that is ignored, as with ``nohup``, stays ignored.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return

    def stop(*_: object) -> None:
        raise KeyboardInterrupt

    previous_handlers = {
        number: signal.signal(number, stop)
        for number in (signal.SIGTERM, signal.SIGHUP)
        if signal.getsignal(number) is not signal.SIG_IGN
    }
    try:
        yield
    finally:
        for number, handler in previous_handlers.items():
            signal.signal(number, handler or signal.SIG_DFL)
