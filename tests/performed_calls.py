"""Apply a plan, and hold what is performed against what the plan showed: every apply of the tests goes through here.

Two witnesses: the events of the apply (the steps of each change, in order, with parameters) and the calls that reach
AWS.  A parameter may differ only where the plan shows a reference that AWS resolves (``${...}``), and a list with such
references in its order.

Declared deviations: calls are repeated (retries), reads come in between (waits), and one planned step of a sweep or a
batch is any number of calls.  A change that fails ends early; one that finds nothing left to do makes no call.
"""

from __future__ import annotations

import json
import re
import threading
from collections import defaultdict
from collections.abc import Mapping, Sequence
from typing import Any

from orchestrator.planning import pipeline
from orchestrator.planning.events import ChangeStarted, Event, OnEvent, StepCompleted, ignore_event
from orchestrator.planning.plan import PreparedPlan
from orchestrator.steps import is_read, to_operation_name
from orchestrator.vocabulary import Actuation, Change, Outcome, Plan, PlannedStep

_REFERENCE = re.compile(r"\$\{[^}]*\}")


def apply(
    prepared: PreparedPlan, on_event: OnEvent = ignore_event, *, clients: Any, parallelism: int = 16
) -> tuple[Outcome, ...]:
    """Apply as the product does, and check what was performed."""
    record, caller = PerformedSteps(on_event), RecordingCaller(clients)
    outcomes = pipeline.apply(prepared, record, parallelism=parallelism, clients=caller)  # type: ignore[arg-type]
    deviations = find_deviations(prepared.plan, outcomes, record) + find_unplanned_calls(prepared.plan, caller)
    assert deviations == [], "\n".join(deviations)
    return outcomes


class PerformedSteps:
    """Collects the completed steps of each change, and passes the events on."""

    def __init__(self, on_event: OnEvent = ignore_event) -> None:
        self._on_event = on_event
        self.started: list[str] = []
        self.steps: dict[str, list[PlannedStep]] = defaultdict(list)

    def __call__(self, event: Event) -> None:
        if isinstance(event, StepCompleted):
            self.steps[event.address].append(event.step)
        elif isinstance(event, ChangeStarted):
            self.started.append(event.address)
        self._on_event(event)


class RecordingCaller:
    """Clients that note each call that changes something."""

    def __init__(self, clients: Any) -> None:
        self._clients = clients
        self._lock = threading.Lock()
        self.writes: set[str] = set()

    def call(self, service: str, operation: str, parameters: Mapping[str, Any], region: str | None = None) -> Any:
        if not is_read(operation):
            with self._lock:
                self.writes.add(f"{service}:{to_operation_name(operation)}")
        return self._clients.call(service, operation, parameters, region)

    def __getattr__(self, name: str) -> Any:
        return getattr(self._clients, name)


def find_deviations(plan: Plan, outcomes: tuple[Outcome, ...], record: PerformedSteps) -> list[str]:
    """Return what was performed otherwise than the plan showed."""
    changes = {change.address: change for change in plan.changes}
    unplanned = sorted(record.steps.keys() - {change.address for change in plan.pending_changes})
    deviations = [f"{address}: is not in the plan" for address in unplanned]
    for outcome in outcomes:
        if outcome.address not in unplanned:
            deviations += _compare(changes[outcome.address], outcome, record.steps.get(outcome.address, []))
    return deviations


def _compare(change: Change, outcome: Outcome, performed: list[PlannedStep]) -> list[str]:
    planned = list(change.steps)
    deviations = [
        f"{change.address}: planned {_describe(wanted)}, performed {_describe(step)}"
        for wanted, step in zip(planned, performed, strict=False)
        if not matches(wanted, step)
    ]
    is_whole = outcome.actuation is Actuation.SUCCEEDED and outcome.health == "healthy"
    is_count_right = len(performed) == len(planned) if is_whole else len(performed) <= len(planned)
    if not is_count_right:
        deviations.append(f"{change.address}: planned {len(planned)} steps, performed {len(performed)}")
    return deviations


def matches(planned: PlannedStep, performed: PlannedStep) -> bool:
    """Return whether a step is the planned one, but for what its references resolve to."""
    return planned.action == performed.action and _matches_value(planned.parameters, performed.parameters)


def _matches_value(planned: Any, performed: Any) -> bool:
    if (documents := _parse_both(planned, performed)) is not None:  # how a document is spaced means nothing
        return _matches_value(*documents)
    match planned:
        case str() if _REFERENCE.search(planned):
            pattern = "(?s:.*)".join(map(re.escape, _REFERENCE.split(planned)))
            return not isinstance(performed, str) or re.fullmatch(pattern, performed) is not None
        case Mapping():
            return (
                isinstance(performed, Mapping)
                and planned.keys() == performed.keys()
                and all(_matches_value(value, performed[key]) for key, value in planned.items())
            )
        case list() | tuple():
            return isinstance(performed, list | tuple) and _matches_items(planned, performed)
        case _:
            return bool(planned == performed)


def _matches_items(planned: Sequence[Any], performed: Sequence[Any]) -> bool:
    """Compare lists in order; those with references in any order, because sets are sorted by what these resolve to."""
    if len(planned) != len(performed):
        return False
    if all(map(_matches_value, planned, performed)):
        return True
    with_references = [item for item in planned if _REFERENCE.search(json.dumps(item, default=str))]
    left = list(performed)
    for wanted in [*(item for item in planned if item not in with_references), *with_references]:
        match = next((item for item in left if _matches_value(wanted, item)), None)
        if match is None:
            return False
        left.remove(match)
    return bool(with_references)


def _parse_both(planned: Any, performed: Any) -> tuple[Any, Any] | None:
    """Return two texts as the JSON that they hold; None if they hold none, or one that is only a word."""
    if not (isinstance(planned, str) and isinstance(performed, str) and planned[:1] in {"{", "["}):
        return None
    try:
        return json.loads(planned), json.loads(performed)
    except ValueError:
        return None


def find_unplanned_calls(plan: Plan, caller: RecordingCaller) -> list[str]:
    """Return the calls that changed AWS and that no step of the plan names."""
    planned = {step.action for change in plan.pending_changes for step in change.steps}
    return sorted(caller.writes - planned)


def _describe(step: PlannedStep) -> str:
    return f"{step.action} {step.parameters} {step.note}"
