"""Apply or destroy: lock the environment, plan, show the plan, ask, apply, report."""

from __future__ import annotations

import time
from collections.abc import Sequence
from typing import TYPE_CHECKING

from msgspec import Struct, field

from orchestrator.planning.events import ChangeFinished, Event
from orchestrator.problems import ExitCode, Problems
from orchestrator.quantities import format_count
from orchestrator.render import apply_report
from orchestrator.runs import reporter
from orchestrator.runs.approval import Approval, review_plan
from orchestrator.runs.display import create_display
from orchestrator.runs.lock import WriteLock, write_lock
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import Health, Outcome

if TYPE_CHECKING:
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.checkout import ReleaseCandidate

MAX_PARALLEL_CHANGES = 16


class ApplyOptions(Struct, frozen=True):
    """Options of ``apply`` and ``destroy``.

    ``targets`` are addresses or components, all if empty; ``allow`` is the token that lifts a plan's vetoes.
    """

    approval: Approval = field(default_factory=Approval)
    targets: tuple[str, ...] = ()
    allow: str = ""
    parallelism: int = MAX_PARALLEL_CHANGES
    run: RunOptions = field(default_factory=RunOptions)


def apply(settings: Settings, options: ApplyOptions) -> int:
    """Make AWS match the manifests, and return the exit code.

    Raises Problems if the plan is not the reviewed one, nobody approves it, or the environment is locked.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    if options.approval.reviewed and settings.environment is None:
        settings.environment = options.approval.reviewed.environment
    settings.choose_environment()
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    store = checkout.find_store(manifest, clients)
    target_arguments = [word for target in options.targets for word in ("--target", target)]
    retry_command = settings.command_line("apply", *target_arguments)
    with write_lock(settings, manifest.scope, "apply", options.run, clients, store) as lock:
        planned = plan_without_artefacts(
            checkout.from_manifest(manifest, lock.clients, is_promoting=False), options, settings
        )
        prompt = "Apply {changes} to {place}? Only 'yes' is accepted:", "yes"
        return review_and_apply(planned, settings, lock, options, prompt, retry_command)


def plan_without_artefacts(candidate: ReleaseCandidate, options: ApplyOptions, settings: Settings) -> PreparedPlan:
    """Plan for the checkout; once there are releases, leave images, sites and models as they are live, and say so.

    Raises Problems if the reviewed plan changes them: only a deploy does.
    """
    from orchestrator.planning import pipeline
    from orchestrator.release import live_artefacts

    planned = pipeline.plan(candidate.desired, targets=options.targets, allow=options.allow, clients=candidate.clients)
    changed_artefacts = live_artefacts.list_changes(planned) if candidate.ledger.releases else ()
    if not changed_artefacts:
        return planned
    artefacts = ", ".join(changed_artefacts)
    if options.approval.is_for(planned.plan):
        command = settings.command_line(
            "deploy",
            "--expect",
            planned.plan.digest,
            *(word for name in options.targets for word in ("--target", name)),
        )
        raise Problems.from_message(
            f"the reviewed plan changes {artefacts}, which only `orchestrator deploy` can change",
            hint=(f"run: {command}"),
        )
    settings.terminal.print_out(
        f"This command does not change {artefacts}. To release the version in the checkout, run: "
        f"{settings.command_line('deploy')}"
    )
    desired = live_artefacts.keep(candidate.desired, planned)
    return pipeline.plan(desired, targets=options.targets, allow=options.allow, clients=candidate.clients)


def destroy(settings: Settings, options: ApplyOptions) -> int:
    """Delete everything of one environment, and return the exit code.

    Raises Problems if nobody approves the plan, or the environment is locked.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients, desired = Clients.for_scope(manifest.scope), pipeline.expand_manifest(manifest, include_artefacts=False)
    store = checkout.find_store(manifest, clients)
    with write_lock(settings, manifest.scope, "destroy", options.run, clients, store) as lock:
        planned = pipeline.plan(desired, destroying=True, allow=options.allow, clients=lock.clients)
        name = manifest.environment
        prompt = f"Delete {{resources}} in {{place}}? Type {name!r} to confirm:", name
        return review_and_apply(planned, settings, lock, options, prompt, settings.command_line("destroy"))


def review_and_apply(
    planned: PreparedPlan,
    settings: Settings,
    lock: WriteLock,
    options: ApplyOptions,
    prompt: tuple[str, str],
    retry_command: str,
) -> int:
    """Show ``planned``, ask for approval, apply it, and return the exit code.

    ``prompt`` is the question, with ``{changes}`` or ``{resources}`` and ``{place}``, and the answer that approves.

    Raises Problems if the plan is not the reviewed one, or nobody approves it.
    """
    plan = planned.plan
    if not review_plan(planned, settings, lock.record, options.approval):
        return ExitCode.VETOED
    if not plan.pending_changes:
        return report_no_changes(planned, settings)
    question, expected_answer = prompt
    count = len(plan.pending_changes)
    question = question.format(
        changes=format_count(count, "change"),
        resources=format_count(count, "resource"),
        place=f"{plan.project}/{plan.environment} in account {plan.account}",
    )
    with reporter.record_refusal(lock.record):
        options.approval.confirm(settings.terminal, question, expected_answer)
    return apply_with_progress(planned, settings, options.parallelism, retry_command, lock)


def apply_with_progress(
    planned: PreparedPlan, settings: Settings, parallelism: int, retry_command: str, lock: WriteLock | None = None
) -> int:
    """Apply ``planned``, show progress and the report, and return the exit code.

    ``retry_command`` is printed after a failure.  With a ``lock``, its record receives every event, and its clients
    stop the run once the lock is lost.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.planning.apply import InterruptedApplyError, exit_code
    from orchestrator.state.client.run_reporter import RunReporter

    record = lock.record if lock else RunReporter()
    clients = lock.clients if lock else Clients.for_scope(planned.scope)
    completed_addresses: list[str] = []
    started_at = time.monotonic()
    was_interrupted = False
    with create_display(planned, settings) as display:

        def on_event(event: Event) -> None:
            if isinstance(event, ChangeFinished):
                completed_addresses.append(event.address)
            record.report_event(event)
            display(event)

        try:
            outcomes = pipeline.apply(planned, on_event, parallelism=parallelism, clients=clients)
        except InterruptedApplyError as interruption:
            outcomes, was_interrupted = interruption.outcomes, True
    outcomes = tuple(_sort_by_completion(outcomes, completed_addresses))
    next_command = print_report(
        outcomes,
        settings,
        time.monotonic() - started_at,
        retry_command,
        interrupted_step=apply_report.INTERRUPTED_STEP if was_interrupted else "",
    )
    reporter.record_outcomes(record, outcomes, next_command, interrupted=was_interrupted)
    return ExitCode.INTERRUPTED if was_interrupted else exit_code(outcomes)


def print_report(
    outcomes: tuple[Outcome, ...],
    settings: Settings,
    elapsed_seconds: float,
    retry_command: str,
    *,
    interrupted_step: str = "",
) -> str:
    """Print the report of an apply, and return the next command it names."""
    view = apply_report.build_view(
        outcomes, elapsed_seconds, retry_command, settings.command_line("plan"), interrupted_step=interrupted_step
    )
    settings.terminal.print_out("\n" + apply_report.render_text(view, settings.terminal.style))
    return view.next_command


def report_no_changes(planned: PreparedPlan, settings: Settings) -> int:
    """Print that nothing changes, and return the exit code: UNHEALTHY if a resource is unhealthy."""
    from orchestrator.render import plan_view

    view = plan_view.build_view(planned.plan)
    has_deviations = bool(view.unhealthy or view.pending or view.unmanaged)
    settings.terminal.print_out(f"{view.headline}." if has_deviations else "No changes.")
    for sentence in (*view.unhealthy, *view.pending, *view.unmanaged):
        settings.terminal.print_out(f"  {sentence}")
    is_healthy = all(change.health is Health.HEALTHY for change in planned.plan.changes)
    return ExitCode.OK if is_healthy else ExitCode.UNHEALTHY


def _sort_by_completion(outcomes: Sequence[Outcome], completed_addresses: Sequence[str]) -> list[Outcome]:
    """Sort ``outcomes`` by the time they completed, so that the first failure is the root cause."""
    order = {address: position for position, address in enumerate(completed_addresses)}
    return sorted(outcomes, key=lambda outcome: order.get(outcome.address, len(order)))
