"""A plan as text for a terminal or a log.  Pure: layout over ``view``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from orchestrator.render.field_values import FieldView, around_difference, shorten
from orchestrator.render.plan_view import ChangeView, PlanView, VetoView
from orchestrator.render.style import BY_SIGN, Style

PLAIN = Style()
Detail = Literal["full", "brief", "head"]
_WIDEST_ADDRESS = 40
_PRICED = re.compile(r"\S+ +[\d.]+(?: to [\d.]+)? +")
"""The beginning of a line of the estimate, up to what it assumes."""


def render(plan: PlanView, style: Style = PLAIN, detail: Detail = "full") -> str:
    """The plan in ``full``, ``brief`` (what is new on one line each), or its ``head`` alone; ends with a newline."""
    sections = [
        list(_head(plan, style)),
        *_components(plan, style, detail),
        list(_folded(plan, style, detail)),
        list(_listed("Not checked", [f"{item.address}: {item.reason}" for item in plan.unread], style, "yellow")),
        list(_listed("Not well", plan.unwell, style, "yellow")),
        list(_listed("Notes", plan.notes, style, "bold")),
        list(_cost(plan, style, detail)),
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
    if detail == "head":
        return
    usual = f"{plan.title.replace('/', '-')}-"
    short = [change for component in plan.components for change in component.changes if _is_short(change)]
    width = min(_WIDEST_ADDRESS, max((len(change.address) for change in short), default=0))
    for component in plan.components:
        lines = [f"{style.paint(component.name, 'bold')}  {style.paint(component.headline, 'dim')}"]
        for change in component.changes:
            if detail == "brief" and _is_short(change):
                lines += _line(change, usual, width, style)
            else:
                lines += _change(change, style)
        yield lines


def _is_short(change: ChangeView) -> bool:
    """Whether one line says what a reviewer needs: it is new, and nothing is odd about it."""
    return change.symbol == "+" and not change.steps


def _folded(plan: PlanView, style: Style, detail: Detail) -> Iterator[str]:
    if detail == "brief" and any(_is_short(change) for component in plan.components for change in component.changes):
        yield style.paint(
            "What is new is told in one line each; every field: --verbose, every API call: --steps.", "dim"
        )


def _line(change: ChangeView, usual: str, width: int, style: Style) -> Iterator[str]:
    """A new thing in a few words; by its name in AWS too, when that is not what one would expect."""
    own = change.physical.removeprefix(usual) != change.address.partition(".")[2]
    words = ", ".join(word for word in (change.physical if own else "", change.gist) if word)
    address = change.address.ljust(width) if words else change.address
    room = max(20, style.width - len(address) - 6) if style.width else len(words)
    words = words if len(words) <= room else f"{words[: room - 1]}…"
    yield f"{_sign(change, style)} {style.paint(address, 'green')}  {words}".rstrip()
    yield from _warnings(change, style)


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
    yield f"{_sign(change, style)} {style.paint(change.address, colour)}{aside}"
    yield from _warnings(change, style)


def _sign(change: ChangeView, style: Style) -> str:
    return style.paint(change.symbol.rjust(3), BY_SIGN.get(change.symbol, "dim"))


def _warnings(change: ChangeView, style: Style) -> Iterator[str]:
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
        old, new = around_difference(sides[0], sides[1], below)
        yield f"        {sign} {field.path}:"
        yield f"            {style.paint('-', 'red')} {shorten(old, below)}"
        yield f"            {style.paint('+', 'green')} {shorten(new, below)}"
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


def _cost(plan: PlanView, style: Style, detail: Detail) -> Iterator[str]:
    if plan.cost is not None:
        yield from _painted(style.wrap(plan.cost.headline, "", "  "), style, "bold")
        for line in plan.cost.lines if detail != "head" else ():
            priced = _PRICED.match(line)
            yield from style.wrap(line, "  ", " " * (2 + (min(priced.end(), 42) if priced else 4)))


def _foot(plan: PlanView, style: Style) -> Iterator[str]:
    if plan.components and plan.digest:
        yield style.paint(f"Digest {plan.digest}", "dim")


def _painted(lines: list[str], style: Style, colour: str) -> Iterator[str]:
    for line in lines:
        yield style.paint(line, colour)
