"""Render a plan as text for a terminal or a log.  Pure: lays out a ``PlanView``."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Literal

from orchestrator.render.field_values import FieldView, shorten, trim_common_text
from orchestrator.render.plan_view import (
    COST_CHANGE_TITLES,
    ChangeView,
    CostView,
    PlanView,
    VetoView,
    list_cost_changes,
)
from orchestrator.render.style import COLOUR_BY_SIGN, Style

PLAIN_STYLE = Style()
DetailLevel = Literal["full", "brief", "head"]
_MAX_ADDRESS_WIDTH = 40
_PRICE_PREFIX = re.compile(r"\S+ +[\d.]+(?: to [\d.]+)? +")
"""The start of a line of the cost estimate, before its assumptions."""


def render(plan: PlanView, style: Style = PLAIN_STYLE, detail: DetailLevel = "full") -> str:
    """Return the plan as text that ends with a newline.

    ``brief`` shows each new resource on one line, ``head`` leaves out the changes.
    """
    sections = [
        list(_render_header(plan, style)),
        *_render_components(plan, style, detail),
        list(_render_summary_note(plan, style, detail)),
        list(_render_list("Not checked", [f"{item.address}: {item.reason}" for item in plan.unread], style, "yellow")),
        list(_render_list("Unhealthy", plan.unhealthy, style, "yellow")),
        list(_render_list("Pending in AWS", plan.pending, style, "yellow")),
        list(
            _render_list(
                "Changed outside the manifests (apply leaves these unchanged)", plan.unmanaged, style, "yellow"
            )
        ),
        list(_render_list("Notes", plan.notes, style, "bold")),
        list(_render_cost(plan, style, detail)),
        list(_render_list("Permissions required to apply", plan.permissions, style, "bold")),
        list(_render_vetoes(plan, style)),
        list(_render_footer(plan, style)),
    ]
    return style.replace_unencodable("\n\n".join("\n".join(section) for section in sections if section) + "\n")


def _render_header(plan: PlanView, style: Style) -> Iterator[str]:
    yield f"{style.paint(plan.title, 'bold')} {style.paint(f'({plan.place})', 'dim')}"
    colour = "alarm" if plan.vetoes else "good" if not plan.components else "bold"
    prefix = "" if not plan.components else "Plan: "
    suffix = " Vetoed (see below)." if plan.vetoes else ""
    yield style.paint(f"{prefix}{plan.headline}.{suffix}", colour)


def _render_components(plan: PlanView, style: Style, detail: DetailLevel) -> Iterator[list[str]]:
    if detail == "head":
        return
    name_prefix = f"{plan.title.replace('/', '-')}-"
    summarized = [change for component in plan.components for change in component.changes if _can_summarize(change)]
    width = min(_MAX_ADDRESS_WIDTH, max((len(change.address) for change in summarized), default=0))
    for component in plan.components:
        lines = [f"{style.paint(component.name, 'bold')}  {style.paint(component.headline, 'dim')}"]
        for change in component.changes:
            if detail == "brief" and _can_summarize(change):
                lines += _render_summary_line(change, name_prefix, width, style)
            else:
                lines += _render_change(change, style)
        yield lines


def _can_summarize(change: ChangeView) -> bool:
    """Return whether one line is enough for a reviewer: a new resource without a veto or API calls to show."""
    return change.symbol == "+" and not change.steps


def _render_summary_note(plan: PlanView, style: Style, detail: DetailLevel) -> Iterator[str]:
    if detail == "brief" and any(
        _can_summarize(change) for component in plan.components for change in component.changes
    ):
        yield style.paint(
            "New resources are summarised. Use --verbose for every field, --steps for every API call.", "dim"
        )


def _render_summary_line(change: ChangeView, name_prefix: str, width: int, style: Style) -> Iterator[str]:
    """Yield a new resource on one line, with its AWS name if that is not derived from its address."""
    has_custom_name = change.physical.removeprefix(name_prefix) != change.address.partition(".")[2]
    details = ", ".join(detail for detail in (change.physical if has_custom_name else "", change.summary) if detail)
    address = change.address.ljust(width) if details else change.address
    max_width = max(20, style.width - len(address) - 6) if style.width else len(details)
    details = details if len(details) <= max_width else f"{details[: max_width - 1]}…"
    yield f"{_render_sign(change, style)} {style.paint(address, 'green')}  {details}".rstrip()
    yield from _render_dangers(change, style)


def _render_change(change: ChangeView, style: Style) -> Iterator[str]:
    yield from _render_title(change, style)
    width = max((len(field.path) for field in change.fields), default=0)
    for field in change.fields:
        yield from _render_field(field, min(width, 48), style)
    for number, step in enumerate(change.steps, start=1):
        first, *continuation = style.wrap(f"{step.action} {step.detail}".rstrip(), f"      {number:>2}. ")
        yield first.replace(step.action, style.paint(step.action, "cyan"), 1)
        yield from continuation
    if change.source_location and (change.dangers or change.vetoes):
        yield style.paint(f"        {change.source_location}", "dim")


def _render_title(change: ChangeView, style: Style) -> Iterator[str]:
    colour = COLOUR_BY_SIGN.get(change.symbol, "dim")
    annotations = [change.action] if change.symbol == "!" else []
    if change.physical and change.physical != change.address.partition(".")[2]:
        annotations.append(change.physical)
    suffix = style.paint(f"  {' '.join(annotations)}", "dim") if annotations else ""
    yield f"{_render_sign(change, style)} {style.paint(change.address, colour)}{suffix}"
    yield from _render_dangers(change, style)


def _render_sign(change: ChangeView, style: Style) -> str:
    return style.paint(change.symbol.rjust(3), COLOUR_BY_SIGN.get(change.symbol, "dim"))


def _render_dangers(change: ChangeView, style: Style) -> Iterator[str]:
    for danger in change.dangers:
        yield from _paint_lines(style.wrap(danger, "        ! ", "          "), style, "alarm")


def _render_field(field: FieldView, width: int, style: Style) -> Iterator[str]:
    """Yield one line, or three if the terminal is too narrow for both values."""
    sign = style.paint(field.sign, COLOUR_BY_SIGN[field.sign])
    path = f"{field.path}:".ljust(width + 1)
    values = [field_value for field_value in (field.before, field.after) if field_value is not None]
    change_text = " → ".join(values)
    max_width = max(40, style.width - len(path) - 11) if style.width else len(change_text)
    if len(values) == 2 and len(change_text) > max_width:
        line_width = max(40, style.width - 14)
        old, new = trim_common_text(values[0], values[1], line_width)
        yield f"        {sign} {field.path}:"
        yield f"            {style.paint('-', 'red')} {shorten(old, line_width)}"
        yield f"            {style.paint('+', 'green')} {shorten(new, line_width)}"
    else:
        yield f"        {sign} {path} {shorten(change_text, max_width)}"


def _render_vetoes(plan: PlanView, style: Style) -> Iterator[str]:
    if not plan.vetoes:
        return
    yield style.paint("Vetoed: nothing is applied until this is resolved", "alarm")
    for veto in plan.vetoes:
        yield from _render_veto(veto, style)
    if plan.token_hint:
        yield from style.wrap(f"To allow exactly this plan, use: {plan.token_hint}", "  ")


def _render_veto(veto: VetoView, style: Style) -> Iterator[str]:
    prefix = f"{veto.address}: " if veto.address else ""
    first, *continuation = style.wrap(f"{prefix}{veto.sentence} ({veto.name})", "  ! ")
    yield style.paint("  !", "alarm") + first[3:]
    yield from continuation


def _render_list(title: str, items: list[str] | tuple[str, ...], style: Style, colour: str) -> Iterator[str]:
    if items:
        yield style.paint(title, colour)
        for item in items:
            yield from style.wrap(item, "  • ")


def _render_cost(plan: PlanView, style: Style, detail: DetailLevel) -> Iterator[str]:
    if plan.cost is not None:
        yield from _paint_lines(style.wrap(plan.cost.headline, "", "  "), style, "bold")
        if detail != "head":
            yield from _render_cost_changes(plan.cost)
        for line in plan.cost.lines if detail != "head" else ():
            price_match = _PRICE_PREFIX.match(line)
            yield from style.wrap(line, "  ", " " * (2 + (min(price_match.end(), 42) if price_match else 4)))


def _render_cost_changes(cost: CostView) -> Iterator[str]:
    """Yield a table of what costs more or less than now, and an empty line after it."""
    rows = [(row.name, *row.cells) for row in list_cost_changes(cost)]
    if not rows:
        return
    table = [COST_CHANGE_TITLES, *rows]
    widths = [max(len(row[column]) for row in table) for column in range(len(COST_CHANGE_TITLES))]
    for name, *amounts in table:
        cells = "  ".join(f"{text:>{width}}" for text, width in zip(amounts, widths[1:], strict=True))
        yield f"  {name:<{widths[0]}}  {cells}"
    yield ""


def _render_footer(plan: PlanView, style: Style) -> Iterator[str]:
    if plan.components and plan.digest:
        yield style.paint(f"Digest {plan.digest}", "dim")


def _paint_lines(lines: list[str], style: Style, colour: str) -> Iterator[str]:
    for line in lines:
        yield style.paint(line, colour)
