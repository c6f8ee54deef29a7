"""What a run has at hand, as the records that the service keeps of it.  Pure, but for the clock.

Whatever was written by somebody else (AWS's messages, names) is redacted before it goes out.
"""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime

from msgspec.structs import replace

from orchestrator.cost import Estimate
from orchestrator.planning.events import Answered, Asking, Event, Finished, Progress, Started, StepDone
from orchestrator.redaction.redact import safe
from orchestrator.release.deploy import Ended
from orchestrator.render.deploy_view import Ending
from orchestrator.render.drift import DriftView, Sync
from orchestrator.render.field_values import shorten
from orchestrator.state.protocol.records import (
    DriftedResource,
    DriftField,
    DriftReport,
    PlanRecord,
    PullRequestPlan,
    RunEnd,
    Status,
    StepEvent,
    Syncing,
)
from orchestrator.vocabulary import Action, Actuation, Health, Outcome, Plan

LONGEST = 1000
STATUSES: dict[str, Status] = {
    "released": "succeeded",
    "unchanged": "succeeded",
    "failed": "failed",
    "returned": "returned",
}
SYNCS: dict[Sync, Syncing] = {Sync.DRIFTED: "drifted", Sync.NOT_CHECKED: "not checked"}


def now() -> str:
    """The time as records write it."""
    return datetime.now(UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def clean(text: str) -> str:
    """A sentence without secrets, and not endless."""
    return shorten(safe(text), LONGEST)


def step_event(sequence: int, at: str, event: Event) -> StepEvent:
    """An event of an apply as the service keeps it."""
    match event:
        case Started():
            return StepEvent(sequence, at, "started", event.address, event.action, seconds=event.at)
        case StepDone():
            what = clean(event.step.action or event.step.note)
            return StepEvent(sequence, at, "step", event.address, what=what, seconds=event.seconds)
        case Progress():
            what, seconds = clean(event.what), event.seconds
            return StepEvent(sequence, at, "progress", event.address, None, what, event.done, event.total, seconds)
        case Finished():
            one = outcome(event.outcome)
            known = StepEvent(sequence, at, "finished", event.address, one.action, one.reason)
            return replace(known, seconds=one.seconds, outcome=one)
        case Asking():
            return StepEvent(sequence, at, "waiting", event.address, what=clean(event.what))
        case Answered():
            ended = Actuation.SUCCEEDED if event.passed else Actuation.FAILED
            one = Outcome(event.address, Action.NONE, ended, reason=clean(event.saw), seconds=event.seconds)
            return StepEvent(sequence, at, "finished", one.address, what=one.reason, seconds=one.seconds, outcome=one)
        case _:
            return StepEvent(sequence, at, "waiting", event.address, what=clean(event.what), seconds=event.seconds)


def outcome(one: Outcome) -> Outcome:
    """What became of a change, fit to be kept."""
    return replace(one, reason=clean(one.reason))


def _changed(outcomes: Iterable[Outcome]) -> tuple[Outcome, ...]:
    return tuple(outcome(one) for one in outcomes if one.action is not Action.NONE)


def plan(made: Plan, by: str, commit: str, before: Estimate | None, after: Estimate | None) -> PlanRecord:
    """A plan by its digest, with what the stack costs."""
    cost = round(after.idle, 2) if after else None
    change = round(after.idle - before.idle, 2) if after and before else None
    return PlanRecord(made.digest, f"{made.project}/{made.environment}", now(), by, commit, made, cost, change)


def applied(outcomes: Iterable[Outcome], hint: str, *, interrupted: bool = False) -> RunEnd:
    """How an apply ended; ``outcomes`` in the order in which they did."""
    found = _changed(outcomes)
    failed = [one for one in found if one.actuation is Actuation.FAILED]
    skipped = [one for one in found if one.actuation is Actuation.SKIPPED]
    unwell = [one for one in found if one.health is not Health.HEALTHY]
    if interrupted:
        return RunEnd("interrupted", now(), "it was stopped in the middle", hint, outcomes=found)
    if first := next(iter(failed + skipped), None):
        return RunEnd("failed", now(), f"{first.address}: {first.reason or first.actuation}", hint, outcomes=found)
    cause = f"{unwell[0].address}: {unwell[0].reason or unwell[0].health}" if unwell else ""
    status: Status = "failed" if any(one.health is Health.FAILED for one in unwell) else "succeeded"
    return RunEnd(status, now(), cause, hint if unwell else "", outcomes=found)


def released(ended: Ended, ending: Ending) -> RunEnd:
    """How a deploy or a rollback ended."""
    number = ended.release.number if ended.release else None
    found = _changed(ended.shipped.outcomes)
    return RunEnd(STATUSES[ended.end], now(), ended.cause, ending.next_command, release=number or None, outcomes=found)


def drift(seen: DriftView, environment: str, by: str, commit: str) -> DriftReport:
    """What one look at AWS found."""
    resources = tuple(
        DriftedResource(
            one.address,
            SYNCS[one.sync],
            one.reason,
            one.action,
            tuple(DriftField(field.path, field.before, field.after) for field in one.fields),
        )
        for one in seen.resources
        if one.sync in SYNCS
    )
    return DriftReport(environment, now(), by, commit, len(seen.resources), resources)


def touched(made: Plan) -> tuple[str, ...]:
    """The fields that a plan changes, as ``address:path``; a resource that comes or goes is one field, its address."""
    found: set[str] = set()
    for change in made.pending:
        stays = change.action in {Action.UPDATE, Action.REPLACE}
        fields = {f"{change.address}:{'.'.join(field.path)}" for field in change.fields} if stays else set()
        found |= fields or {change.address}
    return tuple(sorted(found))


def pull(made: Plan, number: int, commit: str, by: str, title: str, url: str) -> PullRequestPlan:
    """The plan of an open pull request."""
    environment = f"{made.project}/{made.environment}"
    fields = touched(made)
    return PullRequestPlan(environment, number, commit, made.digest, now(), by, clean(title), url, fields)
