"""Build the resource table and the log of a run from its plan, events and outcomes.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from orchestrator.render.plan_view import ACTION_SYMBOLS
from orchestrator.state.protocol.records import Run, StepEvent
from orchestrator.state.server.pages.formatting import format_duration
from orchestrator.vocabulary import Action, Actuation, Health, Outcome, Plan

STATE_ORDER = {"failed": 0, "working": 1, "waiting": 2, "skipped": 3, "succeeded": 4, "unchanged": 5}
STATE_BY_ACTUATION = {
    Actuation.SUCCEEDED: "succeeded", Actuation.FAILED: "failed",
    Actuation.SKIPPED: "skipped", Actuation.UNCHANGED: "unchanged",
}  # fmt: skip


class ResourceRow(Struct):
    """One resource; ``started_at`` is a timestamp, ``seconds`` the duration once it has finished."""

    address: str
    action: str
    state: str = "waiting"
    message: str = ""
    started_at: str = ""
    seconds: float | None = None
    steps: int = 0
    steps_total: int = 0
    health: str = ""

    @property
    def symbol(self) -> str:
        return ACTION_SYMBOLS.get(Action(self.action), "") if self.action in set(Action) else ""


class ResourceTable(Struct):
    """All resources of a run, updated event by event."""

    rows: dict[str, ResourceRow] = field(default_factory=dict)
    last_sequence: int = 0

    def apply_event(self, event: StepEvent) -> None:
        """Update the table with an event."""
        row = self.rows.setdefault(
            event.address, ResourceRow(event.address, event.action.value if event.action else "")
        )
        self.last_sequence = event.sequence
        match event.kind:
            case "started":
                row.state, row.started_at = "working", event.at
                row.action = event.action.value if event.action else row.action
            case "step":
                row.steps += 1
                row.message = event.what
            case "waiting" | "progress":
                row.message = f"{event.what} ({event.done} of {event.total})" if event.total else event.what
            case "finished":
                self.apply_outcome(event.outcome) if event.outcome else None

    def apply_outcome(self, outcome: Outcome) -> None:
        """Update the table with the outcome of a change."""
        row = self.rows.setdefault(outcome.address, ResourceRow(outcome.address, outcome.action.value))
        row.state = STATE_BY_ACTUATION[outcome.actuation]
        row.seconds, row.message = outcome.seconds, outcome.reason
        row.health = "" if outcome.health is Health.HEALTHY else outcome.health.value
        row.steps = max(row.steps, outcome.steps_done)

    @property
    def counts(self) -> Mapping[str, int]:
        """Return the number of resources by state."""
        return Counter(row.state for row in self.rows.values())

    @property
    def done(self) -> int:
        """Return the number of resources that succeeded, failed or are unchanged."""
        return sum(row.state not in {"working", "waiting", "skipped"} for row in self.rows.values())

    @property
    def sorted(self) -> list[ResourceRow]:
        """Return failed resources first, then those in progress, then the others in planned order."""
        return sorted(self.rows.values(), key=lambda row: STATE_ORDER[row.state])


def build_resource_table(run: Run, plan: Plan | None, events: Iterable[StepEvent]) -> ResourceTable:
    """Return the resource table of a run; marks resources that an ended run never started as skipped."""
    table = ResourceTable()
    for change in plan.pending_changes if plan else ():
        table.rows[change.address] = ResourceRow(change.address, change.action.value, steps_total=len(change.steps))
    for event in events:
        table.apply_event(event)
    for outcome in run.outcomes:
        if outcome.actuation is not Actuation.UNCHANGED or outcome.address in table.rows:
            table.apply_outcome(outcome)
    if run.is_over:
        for row in table.rows.values():
            row.state = "skipped" if row.state == "waiting" else "failed" if row.state == "working" else row.state
    return table


class LogLine(Struct, frozen=True):
    """One line of a run's log; ``at`` is a time of day in UTC."""

    number: int
    at: str
    address: str
    text: str
    state: str = ""


def format_log_line(event: StepEvent) -> LogLine:
    """Return an event as a log line."""
    match event.kind:
        case "started":
            message, state = f"started: {event.action.value if event.action else 'change'}", ""
        case "finished" if event.outcome:
            outcome = event.outcome
            state = STATE_BY_ACTUATION[outcome.actuation]
            message = f"{state} after {format_duration(outcome.seconds)}" + (
                f": {outcome.reason}" if outcome.reason else ""
            )
        case "progress":
            message, state = f"{event.what} {event.done} of {event.total}", ""
        case "waiting":
            message, state = f"waiting: {event.what}", ""
        case _:
            message, state = event.what, ""
    return LogLine(event.sequence, event.at[11:19], event.address, message, state)
