"""A plan as people see it: sorted, grouped, redacted, shortened, counted.  Pure.

Every text in a view is on one line, bears no secret and does nothing on a terminal or in a log; renderers add only
layout, and the escapes of their own format.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from typing import Final

from msgspec import Struct

from orchestrator.redaction.redact import redact, safe
from orchestrator.render.field_values import LONGEST, FieldView, field_views, shorten, show
from orchestrator.render.iam_actions import permissions
from orchestrator.render.resource_summary import gist
from orchestrator.vocabulary import Action, Change, Health, Plan, PlannedStep, Unread, Veto

SYMBOLS: Final = {Action.CREATE: "+", Action.UPDATE: "~", Action.REPLACE: "-/+", Action.DELETE: "-", Action.NONE: " "}
VETOED: Final = "!"
_VERBS: Final = (
    (Action.REPLACE, "replace"),
    (Action.DELETE, "delete"),
    (Action.CREATE, "create"),
    (Action.UPDATE, "update"),
)
_SENTENCE = 1000


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
    where: str
    rank: int
    gist: str = ""


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
    unwell: tuple[str, ...]
    unread: tuple[UnreadView, ...]
    notes: tuple[str, ...]
    cost: CostView | None
    permissions: tuple[str, ...]
    digest: str
    token_hint: str

    @property
    def dangers(self) -> tuple[tuple[str, str], ...]:
        """What deserves a second look, worst first: address and why."""
        changes = [change for component in self.components for change in component.changes if change.rank < _HARMLESS]
        changes.sort(key=lambda change: change.rank)
        return tuple((change.address, " ".join(change.dangers) or f"is {change.action}d") for change in changes)


def view(plan: Plan, *, cost: CostView | None = None, steps: bool = False, longest: int = LONGEST) -> PlanView:
    """``plan`` for people.  ``steps`` adds API calls and permissions; values are cut at ``longest`` characters."""
    pending = plan.pending
    changes = [_change(change, steps=steps, longest=longest) for change in pending]
    vetoes = (*(_veto("", veto) for veto in plan.vetoes), *(veto for change in changes for veto in change.vetoes))
    return PlanView(
        title=safe(shorten(f"{plan.project}/{plan.environment}", 120)),
        place=safe(shorten(f"account {plan.account}, {plan.region}", 120)),
        headline=headline(plan),
        components=_components(pending, changes),
        vetoes=vetoes,
        unwell=tuple(unwell(change) for change in plan.changes if change.health is not Health.HEALTHY),
        unread=tuple(map(unread_view, plan.unread)),
        notes=tuple(sentence(note) for note in (*plan.notes, *(cost.notes if cost else ()))),
        cost=_cost(cost),
        permissions=tuple(map(name, _permissions(pending))) if steps else (),
        digest=safe(plan.digest[:128]),
        token_hint=_token_hint(plan, vetoes),
    )


def headline(plan: Plan) -> str:
    """``3 to create, 1 to update, 27 unchanged``, or ``No changes: all 31 resources are as the manifests say``."""
    counts = Counter(change.action for change in plan.changes)
    if not plan.pending:
        checked = f"all {len(plan.changes)} resources are as the manifests say" if plan.changes else "there is nothing"
        return f"No changes: {checked}" + (f", {len(plan.unread)} could not be read" if plan.unread else "")
    parts = [f"{counts[action]} to {verb}" for action, verb in _VERBS if counts[action]]
    parts += [f"{counts[Action.NONE]} unchanged"] if counts[Action.NONE] else []
    parts += [f"{len(plan.unread)} not read"] if plan.unread else []
    return ", ".join(parts)


def sentence(text: str) -> str:
    """One sentence of prose, made harmless and not endless."""
    return shorten(safe(text), _SENTENCE)


def name(text: str) -> str:
    """An address or AWS's name for a thing, made harmless and not endless."""
    return shorten(safe(text), 160)


def unread_view(unread: Unread) -> UnreadView:
    """``reason`` with the failed action, unless it names it already."""
    action = f" ({unread.action})" if unread.action and unread.action not in unread.reason else ""
    return UnreadView(name(unread.address), sentence(f"{unread.reason}{action}"))


def unwell(change: Change) -> str:
    """A resource that exists and is not well, in a sentence."""
    return sentence(f"{change.address} is {change.health}" + (f": {change.status}" if change.status else ""))


def _cost(cost: CostView | None) -> CostView | None:
    if cost is None or not (cost.headline or cost.lines):
        return None
    return CostView(sentence(cost.headline), tuple(sentence(line) for line in cost.lines))


def _permissions(changes: Sequence[Change]) -> tuple[str, ...]:
    return permissions(step.action for change in changes for step in change.steps)


def _components(pending: Sequence[Change], changes: Sequence[ChangeView]) -> tuple[ComponentView, ...]:
    groups: dict[str, list[ChangeView]] = {}
    for change, shown in zip(pending, changes, strict=True):
        groups.setdefault(change.component or "not in the manifests", []).append(shown)
    views = [
        ComponentView(name(group), _count(members), tuple(sorted(members, key=lambda member: member.rank)))
        for group, members in groups.items()
    ]
    return tuple(sorted(views, key=lambda group: (min(_HARMLESS, group.changes[0].rank), group.name)))


def _count(changes: Iterable[ChangeView]) -> str:
    counts = Counter(change.action for change in changes)
    return ", ".join(f"{counts[action]} to {verb}" for action, verb in _VERBS if counts[action])


_HARMLESS = 4


def _rank(change: Change) -> int:
    """The worst come first: vetoed, data at risk, replaced or deleted, noticeable, then what is harmless."""
    if change.vetoes:
        return 0
    if change.action in {Action.DELETE, Action.REPLACE}:
        return 1 if change.stateful else 2
    if change.effects:
        return 3
    return _HARMLESS if change.action is Action.UPDATE else _HARMLESS + 1


def _change(change: Change, *, steps: bool, longest: int) -> ChangeView:
    vetoes = tuple(_veto(change.address, veto) for veto in change.vetoes)
    return ChangeView(
        symbol=VETOED if vetoes else SYMBOLS[change.action],
        address=name(change.address),
        action=change.action.value,
        physical=name(change.physical),
        fields=field_views(change.fields, longest),
        steps=tuple(_step(step, longest) for step in change.steps) if steps else (),
        dangers=_dangers(change),
        vetoes=vetoes,
        where=name(f"{change.where.file}:{change.where.line}") if change.where else "",
        rank=_rank(change),
        gist=_gist(change),
    )


def _gist(change: Change) -> str:
    kind = change.address.partition(".")[0]
    return gist(kind, change.fields) if change.action is Action.CREATE else ""


def _dangers(change: Change) -> tuple[str, ...]:
    """What the action's name does not say by itself."""
    words = []
    if change.stateful and change.action in {Action.DELETE, Action.REPLACE}:
        words.append("All its data is deleted with it.")
    elif change.action is Action.REPLACE:
        words.append("It is deleted and made again.")
    return (*words, *(sentence(effect) for effect in change.effects))


def _veto(address: str, veto: Veto) -> VetoView:
    return VetoView(name(address), name(veto.name), sentence(veto.sentence), veto.token_lifts)


def _step(step: PlannedStep, longest: int) -> StepView:
    parameters = redact(step.parameters)
    if isinstance(parameters, dict):
        detail = ", ".join(f"{safe(key)}={shorten(show(item), longest)}" for key, item in parameters.items())
    else:
        detail = "" if parameters is None else shorten(show(parameters), longest)
    return StepView(name(step.action), f"{detail} {sentence(step.note)}".strip())


def _token_hint(plan: Plan, vetoes: Sequence[VetoView]) -> str:
    """How to go on when a token can lift every veto; empty when none does or one stays."""
    if not vetoes or not all(veto.token_lifts for veto in vetoes):
        return ""
    return f"--allow {safe(plan.token)}"
