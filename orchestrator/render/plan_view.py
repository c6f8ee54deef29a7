"""Build the view of a plan for people: sorted, grouped, redacted, shortened and counted.  Pure.

Every text in a view is on one line, contains no secret, and is safe on a terminal and in a log.  Renderers add only
layout and the escapes of their format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Any, Final

from msgspec import Struct

from orchestrator.iam_actions import list_required_actions
from orchestrator.redaction.redact import redact, sanitise, sanitise_lines
from orchestrator.render.field_values import MAX_VALUE_CHARACTERS, FieldView, build_field_views, format_value, shorten
from orchestrator.render.resource_summary import summarize_resource
from orchestrator.vocabulary import (
    Action,
    Change,
    Health,
    PendingChange,
    Plan,
    PlannedStep,
    UnmanagedChange,
    Unread,
    Veto,
)

ACTION_SYMBOLS: Final = {
    Action.CREATE: "+",
    Action.UPDATE: "~",
    Action.REPLACE: "-/+",
    Action.DELETE: "-",
    Action.NONE: " ",
}
VETO_SYMBOL: Final = "!"
_ACTION_LABELS: Final = (
    (Action.REPLACE, "replace"),
    (Action.DELETE, "delete"),
    (Action.CREATE, "create"),
    (Action.UPDATE, "update"),
)
_MAX_SENTENCE_CHARACTERS = 1000


class StepView(Struct, frozen=True):
    """One API call such as ``rds:CreateDBInstance`` with its parameters, or a wait with its condition."""

    action: str
    detail: str


class VetoView(Struct, frozen=True):
    """Why a change must not be applied; without an address, why the whole plan must not."""

    address: str
    name: str
    sentence: str
    token_lifts: bool


class ChangeView(Struct, frozen=True):
    """One change.  ``dangers`` are effects that the action alone does not reveal; ``rank`` 0 is the most severe.

    ``summary`` describes a new resource in a few words; it is empty for other changes.
    """

    symbol: str
    address: str
    action: str
    physical: str
    fields: tuple[FieldView, ...]
    steps: tuple[StepView, ...]
    dangers: tuple[str, ...]
    vetoes: tuple[VetoView, ...]
    source_location: str
    rank: int
    summary: str = ""


class ComponentView(Struct, frozen=True):
    """The changes of one component, most severe first."""

    name: str
    headline: str
    changes: tuple[ChangeView, ...]


class UnreadView(Struct, frozen=True):
    """A resource that could not be compared, and why."""

    address: str
    reason: str


class CostView(Struct, frozen=True):
    """The monthly cost of the stack: a headline and its items; ``changes`` are (component, before, after) in USD."""

    headline: str
    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()
    changes: tuple[tuple[str, float, float], ...] = ()


class CostChangeRow(Struct, frozen=True):
    """USD a month of one component, or of all that change, now and after the plan."""

    name: str
    before: float
    after: float

    @property
    def cells(self) -> tuple[str, str, str]:
        """Both amounts and their difference, as text."""
        return f"{self.before:.2f}", f"{self.after:.2f}", f"{self.after - self.before:+.2f}"


COST_CHANGE_TITLES = ("USD a month", "now", "then", "difference")


def list_cost_changes(cost: CostView) -> list[CostChangeRow]:
    """Return what costs more or less, the largest difference first, and the sum; empty if nothing cost anything before.

    A stack that is created has no other prices than its line items.
    """
    if not any(before for _, before, _ in cost.changes):
        return []
    ordered = sorted(cost.changes, key=lambda item: -abs(item[2] - item[1]))
    rows = [CostChangeRow(*item) for item in ordered]
    total = CostChangeRow("what changes", sum(row.before for row in rows), sum(row.after for row in rows))
    return [*rows, total]


class PlanView(Struct, frozen=True):
    """Everything that renderers show of a plan; ``summary`` says in one line what it would release."""

    title: str
    place: str
    headline: str
    components: tuple[ComponentView, ...]
    vetoes: tuple[VetoView, ...]
    unhealthy: tuple[str, ...]
    pending: tuple[str, ...]
    unmanaged: tuple[str, ...]
    unread: tuple[UnreadView, ...]
    notes: tuple[str, ...]
    cost: CostView | None
    permissions: tuple[str, ...]
    digest: str
    token_hint: str
    summary: str = ""

    @property
    def dangers(self) -> tuple[tuple[str, str], ...]:
        """The changes to review first, most severe first: address and reason."""
        changes = [
            change for component in self.components for change in component.changes if change.rank < _HARMLESS_RANK
        ]
        changes.sort(key=lambda change: change.rank)
        return tuple((change.address, " ".join(change.dangers) or f"It is {change.action}d.") for change in changes)


def build_view(
    plan: Plan,
    *,
    cost: CostView | None = None,
    include_steps: bool = False,
    max_value_characters: int = MAX_VALUE_CHARACTERS,
) -> PlanView:
    """Build the view of ``plan``.  ``include_steps`` adds API calls and permissions.

    Values are shortened to ``max_value_characters``.
    """
    pending = plan.pending_changes
    changes = [
        _build_change_view(change, include_steps=include_steps, max_value_characters=max_value_characters)
        for change in pending
    ]
    vetoes = (
        *(_build_veto_view("", veto) for veto in plan.vetoes),
        *(veto for change in changes for veto in change.vetoes),
    )
    return PlanView(
        title=sanitise(shorten(f"{plan.project}/{plan.environment}", 120)),
        place=sanitise(shorten(f"account {plan.account}, {plan.region}", 120)),
        headline=format_headline(plan),
        components=_build_component_views(pending, changes),
        vetoes=vetoes,
        unhealthy=tuple(describe_unhealthy(change) for change in plan.changes if change.health is not Health.HEALTHY),
        pending=_list_pending(plan),
        unmanaged=_list_unmanaged(plan),
        unread=tuple(map(build_unread_view, plan.unread)),
        notes=tuple(clean_sentence(note) for note in (*plan.notes, *(cost.notes if cost else ()))),
        cost=_build_cost_view(cost),
        permissions=tuple(map(clean_name, _list_permissions(pending))) if include_steps else (),
        digest=sanitise(plan.digest[:128]),
        token_hint=_build_token_hint(plan, vetoes),
    )


def format_headline(plan: Plan) -> str:
    """Return ``3 to create, 1 to update, 27 unchanged`` or ``No changes: all 31 resources match the manifests``."""
    counts = Counter(change.action for change in plan.changes)
    if not plan.pending_changes:
        unread = f", {len(plan.unread)} could not be read" if plan.unread else ""
        return f"No changes: {_describe_matches(plan)}{unread}"
    parts = [f"{counts[action]} to {label}" for action, label in _ACTION_LABELS if counts[action]]
    parts += [f"{counts[Action.NONE]} unchanged"] if counts[Action.NONE] else []
    parts += [f"{len(plan.unread)} not read"] if plan.unread else []
    return ", ".join(parts)


def _describe_matches(plan: Plan) -> str:
    """Return how many resources are as the manifests say, and how many AWS or somebody else keeps from it."""
    if not plan.changes:
        return "there are no resources"
    deviations = {
        "changed outside the manifests": [change for change in plan.changes if change.unmanaged],
        "unhealthy": [change for change in plan.changes if change.health is Health.FAILED],
        "pending": [change for change in plan.changes if change.pending or change.health is Health.PROGRESSING],
    }
    deviating = {change.address for group in deviations.values() for change in group}
    if not deviating:
        return f"all {len(plan.changes)} resources match the manifests"
    matching = f"{len(plan.changes) - len(deviating)} of {len(plan.changes)} resources match the manifests"
    return ", ".join([matching, *(f"{len(group)} {label}" for label, group in deviations.items() if group)])


def clean_sentence(text: str) -> str:
    """Return a sentence, sanitised and shortened: the first line of a text of several lines."""
    return shorten(sanitise(text.strip().partition("\n")[0].rstrip()), _MAX_SENTENCE_CHARACTERS)


def clean_paragraph(text: str) -> str:
    """Return a sentence that lines of a program's output may follow: sanitised, and each line shortened."""
    return "\n".join(shorten(line, _MAX_SENTENCE_CHARACTERS) for line in sanitise_lines(text).splitlines())


def clean_name(text: str) -> str:
    """Return an address or a physical name, sanitised and shortened."""
    return shorten(sanitise(text), 160)


def build_unread_view(unread: Unread) -> UnreadView:
    """Build the view of an unread resource; its reason names the failed action."""
    action = f" ({unread.action})" if unread.action and unread.action not in unread.reason else ""
    return UnreadView(clean_name(unread.address), clean_sentence(f"{unread.reason}{action}"))


def describe_unhealthy(change: Change) -> str:
    """Return a sentence about a resource that exists but is unhealthy."""
    return clean_sentence(f"{change.address} ({change.health})" + (f": {change.status}" if change.status else ""))


def describe_pending(pending: PendingChange) -> str:
    """Return a sentence about a change that AWS makes later."""
    before = "" if pending.before is None else f" from {_format_short(pending.before)}"
    return clean_sentence(f"{pending.field}{before} to {_format_short(pending.after)} takes effect {pending.when}")


def describe_unmanaged(item: UnmanagedChange) -> str:
    """Return a sentence about a setting that somebody changed and apply leaves alone."""
    remedy = item.remedy.rstrip(".")
    return clean_sentence(f"{item.field} was set to {_format_short(item.live)} outside the manifests. {remedy}")


def _format_short(value: Any) -> str:
    return shorten(format_value(redact(value)), MAX_VALUE_CHARACTERS)


def _list_pending(plan: Plan) -> tuple[str, ...]:
    return tuple(
        clean_sentence(f"{change.address}: {describe_pending(item)}")
        for change in plan.changes
        for item in change.pending
    )


def _list_unmanaged(plan: Plan) -> tuple[str, ...]:
    return tuple(
        clean_sentence(f"{change.address}: {describe_unmanaged(item)}")
        for change in plan.changes
        for item in change.unmanaged
    )


def _build_cost_view(cost: CostView | None) -> CostView | None:
    if cost is None or not (cost.headline or cost.lines):
        return None
    changes = tuple((clean_name(address), before, after) for address, before, after in cost.changes)
    lines = tuple(clean_sentence(line) for line in cost.lines)
    return CostView(clean_sentence(cost.headline), lines, changes=changes)


def _list_permissions(changes: Sequence[Change]) -> tuple[str, ...]:
    return list_required_actions(step.action for change in changes for step in change.steps)


def _build_component_views(pending: Sequence[Change], changes: Sequence[ChangeView]) -> tuple[ComponentView, ...]:
    groups: dict[str, list[ChangeView]] = {}
    for change, change_view in zip(pending, changes, strict=True):
        groups.setdefault(change.component or "not in the manifests", []).append(change_view)
    views = [
        ComponentView(
            clean_name(group_name),
            _count_actions(group_changes),
            tuple(sorted(group_changes, key=lambda change_view: change_view.rank)),
        )
        for group_name, group_changes in groups.items()
    ]
    return tuple(sorted(views, key=lambda view: (min(_HARMLESS_RANK, view.changes[0].rank), view.name)))


def _count_actions(changes: Iterable[ChangeView]) -> str:
    counts = Counter(change.action for change in changes)
    return ", ".join(f"{counts[action]} to {label}" for action, label in _ACTION_LABELS if counts[action])


_HARMLESS_RANK = 4


def _severity_rank(change: Change) -> int:
    """Return the severity, 0 first: vetoed, data loss, replaced or deleted, with effects, then harmless changes."""
    if change.vetoes:
        return 0
    if change.action in {Action.DELETE, Action.REPLACE}:
        return 1 if change.stateful else 2
    if change.effects:
        return 3
    return _HARMLESS_RANK if change.action is Action.UPDATE else _HARMLESS_RANK + 1


def _build_change_view(change: Change, *, include_steps: bool, max_value_characters: int) -> ChangeView:
    vetoes = tuple(_build_veto_view(change.address, veto) for veto in change.vetoes)
    return ChangeView(
        symbol=VETO_SYMBOL if vetoes else ACTION_SYMBOLS[change.action],
        address=clean_name(change.address),
        action=change.action.value,
        physical=clean_name(change.physical),
        fields=build_field_views(change.fields, max_value_characters),
        steps=tuple(_build_step_view(step, max_value_characters) for step in change.steps) if include_steps else (),
        dangers=_list_dangers(change),
        vetoes=vetoes,
        source_location=clean_name(f"{change.where.file}:{change.where.line}") if change.where else "",
        rank=_severity_rank(change),
        summary=_summarize_creation(change),
    )


def _summarize_creation(change: Change) -> str:
    resource_type = change.address.partition(".")[0]
    return summarize_resource(resource_type, change.fields) if change.action is Action.CREATE else ""


def _list_dangers(change: Change) -> tuple[str, ...]:
    """Return the effects that the action alone does not reveal."""
    dangers = []
    if change.stateful and change.action in {Action.DELETE, Action.REPLACE}:
        dangers.append("All of its data is deleted.")
    elif change.action is Action.REPLACE:
        dangers.append("It is deleted and recreated.")
    return (*dangers, *(clean_sentence(effect) for effect in change.effects))


def _build_veto_view(address: str, veto: Veto) -> VetoView:
    return VetoView(clean_name(address), clean_name(veto.name), clean_sentence(veto.sentence), veto.token_lifts)


def _build_step_view(step: PlannedStep, max_value_characters: int) -> StepView:
    parameters = redact(step.parameters)
    if isinstance(parameters, dict):
        detail = ", ".join(
            f"{sanitise(key)}={shorten(format_value(item), max_value_characters)}" for key, item in parameters.items()
        )
    else:
        detail = "" if parameters is None else shorten(format_value(parameters), max_value_characters)
    return StepView(clean_name(step.action), f"{detail} {clean_sentence(step.note)}".strip())


def _build_token_hint(plan: Plan, vetoes: Sequence[VetoView]) -> str:
    """Return the option that lifts every veto; empty if there are none, or one cannot be lifted by a token."""
    if not vetoes or not all(veto.token_lifts for veto in vetoes):
        return ""
    return f"--allow {sanitise(plan.token)}"
