"""Convert plans, events, outcomes and drift to records of the state service.  Pure, except for the clock.

Text from elsewhere (AWS messages, names) is redacted before it is sent.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec.structs import replace

from orchestrator.cost import Estimate
from orchestrator.cost.stack_cost import StackCost
from orchestrator.planning.events import (
    BatchProgress,
    ChangeFinished,
    ChangeStarted,
    ChangeStopping,
    Event,
    OutputLine,
    ProbeFinished,
    ProbeStarted,
    StepCompleted,
)
from orchestrator.redaction.redact import sanitise_lines
from orchestrator.release.deploy import DeployResult
from orchestrator.render.deploy_view import DeployView
from orchestrator.render.drift import DriftView, SyncStatus
from orchestrator.render.field_values import shorten
from orchestrator.state.protocol.records import (
    DriftedResource,
    DriftField,
    DriftReport,
    PlanRecord,
    PullRequestPlan,
    RestoreDrill,
    ReviewRecord,
    ReviewSection,
    RunResult,
    RunStatus,
    StepEvent,
    SyncState,
)
from orchestrator.vocabulary import Action, Actuation, Health, Outcome, Plan

MAX_TEXT_LENGTH = 1000
STATUS_BY_RESULT: dict[str, RunStatus] = {
    "released": "succeeded",
    "unchanged": "succeeded",
    "failed": "failed",
    "returned": "returned",
}
STATUS_BY_SYNC: dict[SyncStatus, SyncState] = {
    SyncStatus.DRIFTED: "drifted",
    SyncStatus.UNHEALTHY: "unhealthy",
    SyncStatus.PENDING: "pending",
    SyncStatus.NOT_CHECKED: "not checked",
}


def current_timestamp() -> str:
    """Return the current time as a record timestamp."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clean_text(text: str) -> str:
    """Return text without secrets, shortened to MAX_TEXT_LENGTH characters."""
    return shorten(sanitise_lines(text), MAX_TEXT_LENGTH)


def build_step_event(sequence: int, timestamp: str, event: Event) -> StepEvent:
    """Return an event of an apply as a record."""
    match event:
        case ChangeStarted():
            return StepEvent(
                sequence, timestamp, "started", event.address, event.action, seconds=event.started_after_seconds
            )
        case StepCompleted():
            message = clean_text(event.step.action or event.step.note)
            return StepEvent(sequence, timestamp, "step", event.address, what=message, seconds=event.seconds)
        case BatchProgress():
            message, seconds = clean_text(event.description), event.seconds
            return StepEvent(
                sequence, timestamp, "progress", event.address, None, message, event.completed, event.total, seconds
            )
        case OutputLine() | ChangeStopping():
            message = clean_text(event.line) if isinstance(event, OutputLine) else "interrupted"
            return StepEvent(sequence, timestamp, "progress", event.address, what=message)
        case ChangeFinished():
            cleaned = clean_outcome(event.outcome)
            finished = StepEvent(sequence, timestamp, "finished", event.address, cleaned.action, cleaned.reason)
            return replace(finished, seconds=cleaned.seconds, outcome=cleaned)
        case ProbeStarted():
            return StepEvent(sequence, timestamp, "waiting", event.address, what=clean_text(event.description))
        case ProbeFinished():
            actuation = Actuation.SUCCEEDED if event.passed else Actuation.FAILED
            cleaned = Outcome(
                event.address, Action.NONE, actuation, reason=clean_text(event.observed), seconds=event.seconds
            )
            return StepEvent(
                sequence,
                timestamp,
                "finished",
                cleaned.address,
                what=cleaned.reason,
                seconds=cleaned.seconds,
                outcome=cleaned,
            )
        case _:
            return StepEvent(
                sequence, timestamp, "waiting", event.address, what=clean_text(event.description), seconds=event.seconds
            )


def clean_outcome(outcome: Outcome) -> Outcome:
    """Return an outcome with its reason redacted."""
    return replace(outcome, reason=clean_text(outcome.reason))


def _changed_outcomes(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    return tuple(clean_outcome(item) for item in outcomes if item.action is not Action.NONE)


def build_plan_record(
    plan: Plan,
    actor: str,
    commit: str,
    previous_estimate: Estimate | None,
    estimate: Estimate | None,
    stack_cost: StackCost | None = None,
) -> PlanRecord:
    """Return a plan as a record, with the estimated monthly cost, also by component."""
    cost = round(estimate.idle, 2) if estimate else stack_cost.idle if stack_cost else None
    change = round(estimate.idle - previous_estimate.idle, 2) if estimate and previous_estimate else None
    environment = f"{plan.project}/{plan.environment}"
    record = PlanRecord(plan.digest, environment, current_timestamp(), actor, commit, plan, cost, change)
    return replace(record, cost=stack_cost)


def build_apply_result(outcomes: Iterable[Outcome], hint: str, *, interrupted: bool = False) -> RunResult:
    """Return the result of an apply; ``outcomes`` in the order in which the changes ended."""
    changed = _changed_outcomes(outcomes)
    failed = [item for item in changed if item.actuation is Actuation.FAILED]
    skipped = [item for item in changed if item.actuation is Actuation.SKIPPED]
    unhealthy = [item for item in changed if item.health is not Health.HEALTHY]
    if interrupted:
        return RunResult(
            "interrupted", current_timestamp(), "the run was interrupted before it finished", hint, outcomes=changed
        )
    if first_problem := next(iter(failed + skipped), None):
        return RunResult(
            "failed",
            current_timestamp(),
            f"{first_problem.address}: {first_problem.reason or first_problem.actuation}",
            hint,
            outcomes=changed,
        )
    cause = f"{unhealthy[0].address}: {unhealthy[0].reason or unhealthy[0].health}" if unhealthy else ""
    status: RunStatus = "failed" if any(item.health is Health.FAILED for item in unhealthy) else "succeeded"
    return RunResult(status, current_timestamp(), cause, hint if unhealthy else "", outcomes=changed)


def build_release_result(deploy_result: DeployResult, summary: DeployView, *, is_workflow: bool = False) -> RunResult:
    """Return the result of a deploy or a rollback; the next step of a workflow's run can be done from GitHub."""
    number = deploy_result.release.number if deploy_result.release else None
    changed = _changed_outcomes(deploy_result.ship_result.outcomes)
    return RunResult(
        STATUS_BY_RESULT[deploy_result.status],
        current_timestamp(),
        deploy_result.cause,
        summary.workflow_command if is_workflow else summary.next_command,
        release=number or None,
        outcomes=changed,
    )


def build_drift_report(
    view: DriftView, environment: str, actor: str, commit: str, drills: tuple[RestoreDrill, ...] | None = None
) -> DriftReport:
    """Return a drift check as a record; ``drills`` is None if the databases were not read."""
    resources = tuple(
        DriftedResource(
            drifted.address,
            STATUS_BY_SYNC[drifted.sync],
            drifted.reason,
            drifted.action,
            tuple(DriftField(field.path, field.before, field.after) for field in drifted.fields),
        )
        for drifted in view.resources
        if drifted.sync in STATUS_BY_SYNC
    )
    return DriftReport(environment, current_timestamp(), actor, commit, len(view.resources), resources, drills=drills)


def list_changed_fields(plan: Plan) -> tuple[str, ...]:
    """Return the fields that a plan changes as ``address:path``; a created or deleted resource is its address."""
    changed_fields: set[str] = set()
    for change in plan.pending_changes:
        has_field_changes = change.action in {Action.UPDATE, Action.REPLACE}
        fields = {f"{change.address}:{'.'.join(field.path)}" for field in change.fields} if has_field_changes else set()
        changed_fields |= fields or {change.address}
    return tuple(sorted(changed_fields))


def build_pull_request_plan(plan: Plan, number: int, commit: str, actor: str, title: str, url: str) -> PullRequestPlan:
    """Return the plan of an open pull request as a record."""
    environment = f"{plan.project}/{plan.environment}"
    fields = list_changed_fields(plan)
    return PullRequestPlan(
        environment, number, commit, plan.digest, current_timestamp(), actor, clean_text(title), url, fields
    )


def build_review(environment: str, actor: str, findings: Iterable[tuple[str, tuple[str, ...]]]) -> ReviewRecord:
    """Return the findings of a review as a record."""
    sections = tuple(
        ReviewSection(heading, tuple(clean_text(line.removeprefix("* ")) for line in lines))
        for heading, lines in findings
    )
    return ReviewRecord(environment, current_timestamp(), actor, sections)
