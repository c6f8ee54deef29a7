"""A plan as people see it: sorted, grouped, redacted, shortened, counted.  Pure.

Every text in a view is on one line, bears no secret and does nothing on a terminal or in a log; renderers add only
layout, and the escapes of their own format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from orchestrator.redaction.redact import redact, sanitise
from orchestrator.render.field_values import MAX_VALUE_CHARACTERS, FieldView, build_field_views, format_value, shorten
from orchestrator.render.iam_actions import list_required_actions
from orchestrator.render.resource_summary import summarize_resource
from orchestrator.vocabulary import Action, Change, Health, Plan, PlannedStep, Unread, Veto

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
    """One API call: ``rds:CreateDBInstance`` and its parameters, or what it waits for."""

    action: str
    detail: str


class VetoView(Struct, frozen=True):
    """Why a change (or, without an address, the whole plan) may not be applied."""

    address: str
    name: str
    sentence: str
    token_lifts: bool


class ChangeView(Struct, frozen=True):
    """One change.  ``dangers`` are reasons to look twice that the action does not tell; ``rank`` 0 is the worst.

    ``gist`` is a new thing in a few words; empty for any other change.
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
    """The changes of one component, worst first."""

    name: str
    headline: str
    changes: tuple[ChangeView, ...]


class UnreadView(Struct, frozen=True):
    """A resource that could not be compared, and why."""

    address: str
    reason: str


class CostView(Struct, frozen=True):
    """What the stack costs a month: a sentence, and its lines."""

    headline: str
    lines: tuple[str, ...]
    notes: tuple[str, ...] = ()


class PlanView(Struct, frozen=True):
    """Everything a renderer says of a plan."""

    title: str
    place: str
    headline: str
    components: tuple[ComponentView, ...]
    vetoes: tuple[VetoView, ...]
    unhealthy: tuple[str, ...]
    unread: tuple[UnreadView, ...]
    notes: tuple[str, ...]
    cost: CostView | None
    permissions: tuple[str, ...]
    digest: str
    token_hint: str

    @property
    def dangers(self) -> tuple[tuple[str, str], ...]:
        """What deserves a second look, worst first: address and why."""
        changes = [
            change for component in self.components for change in component.changes if change.rank < _HARMLESS_RANK
        ]
        changes.sort(key=lambda change: change.rank)
        return tuple((change.address, " ".join(change.dangers) or f"is {change.action}d") for change in changes)


def build_view(
    plan: Plan,
    *,
    cost: CostView | None = None,
    include_steps: bool = False,
    max_value_characters: int = MAX_VALUE_CHARACTERS,
) -> PlanView:
    """``plan`` for people.  ``steps`` adds API calls and permissions; values are cut at ``longest`` characters."""
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
        unread=tuple(map(build_unread_view, plan.unread)),
        notes=tuple(clean_sentence(note) for note in (*plan.notes, *(cost.notes if cost else ()))),
        cost=_build_cost_view(cost),
        permissions=tuple(map(clean_name, _list_permissions(pending))) if include_steps else (),
        digest=sanitise(plan.digest[:128]),
        token_hint=_build_token_hint(plan, vetoes),
    )


def format_headline(plan: Plan) -> str:
    """``3 to create, 1 to update, 27 unchanged``, or ``No changes: all 31 resources are as the manifests say``."""
    counts = Counter(change.action for change in plan.changes)
    if not plan.pending_changes:
        checked_text = (
            f"all {len(plan.changes)} resources are as the manifests say" if plan.changes else "there is nothing"
        )
        return f"No changes: {checked_text}" + (f", {len(plan.unread)} could not be read" if plan.unread else "")
    parts = [f"{counts[action]} to {label}" for action, label in _ACTION_LABELS if counts[action]]
    parts += [f"{counts[Action.NONE]} unchanged"] if counts[Action.NONE] else []
    parts += [f"{len(plan.unread)} not read"] if plan.unread else []
    return ", ".join(parts)


def clean_sentence(text: str) -> str:
    """One sentence of prose, made harmless and not endless."""
    return shorten(sanitise(text), _MAX_SENTENCE_CHARACTERS)


def clean_name(text: str) -> str:
    """An address or AWS's name for a thing, made harmless and not endless."""
    return shorten(sanitise(text), 160)


def build_unread_view(unread: Unread) -> UnreadView:
    """``reason`` with the failed action, unless it names it already."""
    action = f" ({unread.action})" if unread.action and unread.action not in unread.reason else ""
    return UnreadView(clean_name(unread.address), clean_sentence(f"{unread.reason}{action}"))


def describe_unhealthy(change: Change) -> str:
    """A resource that exists and is not well, in a sentence."""
    return clean_sentence(f"{change.address} is {change.health}" + (f": {change.status}" if change.status else ""))


def _build_cost_view(cost: CostView | None) -> CostView | None:
    if cost is None or not (cost.headline or cost.lines):
        return None
    return CostView(clean_sentence(cost.headline), tuple(clean_sentence(line) for line in cost.lines))


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
            tuple(sorted(group_changes, key=lambda member: member.rank)),
        )
        for group_name, group_changes in groups.items()
    ]
    return tuple(
        sorted(views, key=lambda group_name: (min(_HARMLESS_RANK, group_name.changes[0].rank), group_name.name))
    )


def _count_actions(changes: Iterable[ChangeView]) -> str:
    counts = Counter(change.action for change in changes)
    return ", ".join(f"{counts[action]} to {label}" for action, label in _ACTION_LABELS if counts[action])


_HARMLESS_RANK = 4


def _severity_rank(change: Change) -> int:
    """The worst come first: vetoed, data at risk, replaced or deleted, noticeable, then what is harmless."""
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
    """What the action's name does not say by itself."""
    dangers = []
    if change.stateful and change.action in {Action.DELETE, Action.REPLACE}:
        dangers.append("All its data is deleted with it.")
    elif change.action is Action.REPLACE:
        dangers.append("It is deleted and made again.")
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
    """How to go on when a token can lift every veto; empty when none does or one stays."""
    if not vetoes or not all(veto.token_lifts for veto in vetoes):
        return ""
    return f"--allow {sanitise(plan.token)}"
