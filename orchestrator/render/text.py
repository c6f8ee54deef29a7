"""A plan as text for a terminal or a log.  Pure: layout over ``view``."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Literal

from orchestrator.render.style import BY_SIGN, Style
from orchestrator.render.values import FieldView, shorten
from orchestrator.render.view import ChangeView, ComponentView, PlanView, VetoView

PLAIN = Style()
Detail = Literal["full", "changes", "head"]


def render(plan: PlanView, style: Style = PLAIN, detail: Detail = "full") -> str:
    """The plan in ``full``, its ``changes`` without their fields, or the ``head`` alone; ends with a newline."""
    sections = [
        list(_head(plan, style)),
        *_components(plan, style, detail),
        list(_listed("Not checked", [f"{item.address}: {item.reason}" for item in plan.unread], style, "yellow")),
        list(_listed("Not well", plan.unwell, style, "yellow")),
        list(_listed("Notes", plan.notes, style, "bold")),
        list(_cost(plan, style)),
        list(_listed("Permissions that applying needs", plan.permissions, style, "bold")),
        list(_vetoes(plan, style)),
        list(_foot(plan, style)),
    ]
    return style.fit("\n\n".join("\n".join(section) for section in sections if section) + "\n")


def _head(plan: PlanView, style: Style) -> Iterator[str]:
    yield f"{style.paint(plan.title, 'bold')} {style.paint(f'({plan.place})', 'dim')}"
    colour = "alarm" if plan.vetoes else "good" if not plan.components else "bold"
    lead = "" if not plan.components else "Plan: "
    tail = " Vetoed, see below." if plan.vetoes else ""
    yield style.paint(f"{lead}{plan.headline}.{tail}", colour)


def _components(plan: PlanView, style: Style, detail: Detail) -> Iterator[list[str]]:
    """With blank lines between components in full, as one list otherwise."""
    if detail == "full":
        yield from (list(_component(component, style)) for component in plan.components)
    elif detail == "changes":
        yield [line for each in plan.components for change in each.changes for line in _title(change, style)]


def _component(component: ComponentView, style: Style) -> Iterator[str]:
    yield f"{style.paint(component.name, 'bold')}  {style.paint(component.headline, 'dim')}"
    for change in component.changes:
        yield from _change(change, style)


def _change(change: ChangeView, style: Style) -> Iterator[str]:
    yield from _title(change, style)
    width = max((len(field.path) for field in change.fields), default=0)
    for field in change.fields:
        yield from _field(field, min(width, 48), style)
    for number, step in enumerate(change.steps, start=1):
        first, *more = style.wrap(f"{step.action} {step.detail}".rstrip(), f"      {number:>2}. ")
        yield first.replace(step.action, style.paint(step.action, "cyan"), 1)
        yield from more
    if change.where and (change.dangers or change.vetoes):
        yield style.paint(f"        {change.where}", "dim")


def _title(change: ChangeView, style: Style) -> Iterator[str]:
    colour = BY_SIGN.get(change.symbol, "dim")
    also = [change.action] if change.symbol == "!" else []
    if change.physical and change.physical != change.address.partition(".")[2]:
        also.append(change.physical)
    aside = style.paint(f"  {' '.join(also)}", "dim") if also else ""
    yield f"  {style.paint(change.symbol.ljust(3), colour)} {style.paint(change.address, colour)}{aside}"
    for danger in change.dangers:
        yield from _painted(style.wrap(danger, "        ! ", "          "), style, "alarm")


def _field(field: FieldView, width: int, style: Style) -> Iterator[str]:
    """One line, or three where a terminal is too narrow for both sides."""
    sign = style.paint(field.sign, BY_SIGN[field.sign])
    path = f"{field.path}:".ljust(width + 1)
    sides = [side for side in (field.before, field.after) if side is not None]
    value = " → ".join(sides)
    room = max(40, style.width - len(path) - 11) if style.width else len(value)
    if len(sides) == 2 and len(value) > room:
        below = max(40, style.width - 14)
        yield f"        {sign} {field.path}:"
        yield f"            {style.paint('-', 'red')} {shorten(sides[0], below)}"
        yield f"            {style.paint('+', 'green')} {shorten(sides[1], below)}"
    else:
        yield f"        {sign} {path} {shorten(value, room)}"


def _vetoes(plan: PlanView, style: Style) -> Iterator[str]:
    if not plan.vetoes:
        return
    yield style.paint("Vetoed: nothing will be applied until this is settled", "alarm")
    for veto in plan.vetoes:
        yield from _veto(veto, style)
    if plan.token_hint:
        yield from style.wrap(f"If this is what you want, say so for this very plan: {plan.token_hint}", "  ")


def _veto(veto: VetoView, style: Style) -> Iterator[str]:
    place = f"{veto.address}: " if veto.address else ""
    first, *more = style.wrap(f"{place}{veto.sentence} ({veto.name})", "  ! ")
    yield style.paint("  !", "alarm") + first[3:]
    yield from more


def _listed(title: str, items: list[str] | tuple[str, ...], style: Style, colour: str) -> Iterator[str]:
    if items:
        yield style.paint(title, colour)
        for item in items:
            yield from style.wrap(item, "  • ")


def _cost(plan: PlanView, style: Style) -> Iterator[str]:
    if plan.cost is not None:
        yield style.paint(plan.cost.headline, "bold")
        for line in plan.cost.lines:
            yield from style.wrap(line, "  ", "      ")


def _foot(plan: PlanView, style: Style) -> Iterator[str]:
    if plan.components and plan.digest:
        yield style.paint(f"Digest {plan.digest}", "dim")


def _painted(lines: list[str], style: Style, colour: str) -> Iterator[str]:
    for line in lines:
        yield style.paint(line, colour)
