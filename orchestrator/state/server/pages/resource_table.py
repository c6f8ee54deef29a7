"""A run as a table: what it will do by its plan, does by its events, and did by its outcomes.  Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Mapping

from msgspec import Struct, field

from orchestrator.render.plan_view import ACTION_SYMBOLS
from orchestrator.state.protocol.records import Run, StepEvent
from orchestrator.vocabulary import Action, Actuation, Health, Outcome, Plan

STATE_ORDER = {"failed": 0, "working": 1, "waiting": 2, "skipped": 3, "succeeded": 4, "unchanged": 5}
STATE_BY_ACTUATION = {
    Actuation.SUCCEEDED: "succeeded", Actuation.FAILED: "failed",
    Actuation.SKIPPED: "skipped", Actuation.UNCHANGED: "unchanged",
}  # fmt: skip


class ResourceRow(Struct):
    """One resource; ``began`` is when work on it began, ``seconds`` how long it took once it is over."""

    address: str
    action: str
    state: str = "waiting"
    what: str = ""
    began: str = ""
    seconds: float | None = None
    steps: int = 0
    steps_total: int = 0
    unwell: str = ""

    @property
    def symbol(self) -> str:
        return ACTION_SYMBOLS.get(Action(self.action), "") if self.action in set(Action) else ""


class ResourceTable(Struct):
    """All resources of a run; events are fed to it one after another."""

    rows: dict[str, ResourceRow] = field(default_factory=dict)
    last_sequence: int = 0

    def apply_event(self, event: StepEvent) -> None:
        """Let the table say what ``event`` says."""
        row = self.rows.setdefault(
            event.address, ResourceRow(event.address, event.action.value if event.action else "")
        )
        self.last_sequence = event.sequence
        match event.kind:
            case "started":
                row.state, row.began = "working", event.at
                row.action = event.action.value if event.action else row.action
            case "step":
                row.steps += 1
                row.what = event.what
            case "waiting" | "progress":
                row.what = f"{event.what} ({event.done} of {event.total})" if event.total else event.what
            case "finished":
                self.apply_outcome(event.outcome) if event.outcome else None

    def apply_outcome(self, outcome: Outcome) -> None:
        """Let the table say how it ended."""
        row = self.rows.setdefault(outcome.address, ResourceRow(outcome.address, outcome.action.value))
        row.state = STATE_BY_ACTUATION[outcome.actuation]
        row.seconds, row.what = outcome.seconds, outcome.reason
        row.unwell = "" if outcome.health is Health.HEALTHY else outcome.health.value
        row.steps = max(row.steps, outcome.steps_done)

    @property
    def counts(self) -> Mapping[str, int]:
        """How many are in each state."""
        return Counter(row.state for row in self.rows.values())

    @property
    def done(self) -> int:
        """How many have ended, well or not."""
        return sum(row.state not in {"working", "waiting", "skipped"} for row in self.rows.values())

    @property
    def sorted(self) -> list[ResourceRow]:
        """What failed first, then what is worked on, then the rest as planned."""
        return sorted(self.rows.values(), key=lambda row: STATE_ORDER[row.state])


def build_resource_table(run: Run, plan: Plan | None, events: Iterable[StepEvent]) -> ResourceTable:
    """The table of ``run``; what never began in a run that is over was skipped."""
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
    """One line of the log."""

    number: int
    at: str
    address: str
    text: str
    state: str = ""


def format_log_line(event: StepEvent) -> LogLine:
    """An event in words."""
    match event.kind:
        case "started":
            message, state = f"begins: {event.action.value if event.action else 'work'}", ""
        case "finished" if event.outcome:
            outcome = event.outcome
            state = STATE_BY_ACTUATION[outcome.actuation]
            message = f"{state} after {outcome.seconds:.1f} s" + (f": {outcome.reason}" if outcome.reason else "")
        case "progress":
            message, state = f"{event.what} {event.done} of {event.total}", ""
        case "waiting":
            message, state = f"waits: {event.what}", ""
        case _:
            message, state = event.what, ""
    return LogLine(event.sequence, event.at[11:19], event.address, message, state)
