"""Render a plan as one self-contained HTML page.  Pure: lays out a ``PlanView`` and escapes every text.

The Content-Security-Policy allows only the page's own style and script, by their hashes.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Iterable, Iterator
from html import escape
from importlib import resources
from string import Template

from orchestrator.render.field_values import FieldView
from orchestrator.render.plan_view import (
    COST_CHANGE_TITLES,
    ChangeView,
    ComponentView,
    CostView,
    PlanView,
    VetoView,
    list_cost_changes,
)

_CLASS_BY_SIGN = {"+": "plus", "-": "minus", "~": "tilde"}


def render(plan: PlanView) -> str:
    """Return the plan as a page; components with dangers or vetoes are expanded."""
    style, script = _read_asset("page.css"), _read_asset("page.js")
    return Template(_read_asset("page.html")).substitute(
        render_parts(plan),
        title=escape(plan.title),
        place=escape(plan.place),
        headline=escape(plan.headline),
        foot=escape(f"Digest {plan.digest}") if plan.components and plan.digest else "",
        style=style,
        script=script,
        style_hash=_csp_hash(style),
        script_hash=_csp_hash(script),
    )


def render_parts(plan: PlanView) -> dict[str, str]:
    """Return the plan's parts for another page: ``alarms``, ``components``, ``asides`` in HTML, ``mood`` a class."""
    return {
        "mood": "bad" if plan.vetoes else "" if plan.components else "good",
        "alarms": "\n".join(_render_alerts(plan)),
        "components": "\n".join(_render_component(component) for component in plan.components),
        "asides": "\n".join(_render_notes(plan)),
    }


def _read_asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _csp_hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _render_alerts(plan: PlanView) -> Iterator[str]:
    hint = f"<p>To allow exactly this plan, use: <code>{escape(plan.token_hint)}</code></p>"
    title = "Vetoed: nothing is applied until this is resolved"
    yield _render_section(title, map(_render_veto, plan.vetoes), "bad", hint if plan.token_hint else "")
    dangers = (f"{_render_code(address)}: {_render_sentence(danger)}" for address, danger in plan.dangers)
    yield _render_section("Review these first", dangers, "bad")


def _render_notes(plan: PlanView) -> Iterator[str]:
    yield _render_section(
        "Not checked", (f"{_render_code(item.address)}: {_render_sentence(item.reason)}" for item in plan.unread)
    )
    yield _render_section("Unhealthy", map(_render_sentence, plan.unhealthy))
    yield _render_section("Pending in AWS", map(_render_sentence, plan.pending))
    yield _render_section(
        "Changed outside the manifests (apply leaves these unchanged)", map(_render_sentence, plan.unmanaged)
    )
    yield _render_section("Notes", map(_render_sentence, plan.notes))
    if plan.cost is not None:
        yield _render_cost(plan.cost)
    if plan.permissions:
        permissions = _render_preformatted("Permissions required to apply", plan.permissions, "summary")
        yield f"<details>{permissions}</details>"


def _render_section(title: str, items: Iterable[str], css_class: str = "", trailing_html: str = "") -> str:
    """Return a section, or nothing if there are no items.  ``items`` and ``trailing_html`` are HTML."""
    rows = "".join(f"<li>{item}</li>" for item in items if item)
    class_attribute = f' class="{css_class}"' if css_class else ""
    return f"<section{class_attribute}><h2>{escape(title)}</h2><ul>{rows}</ul>{trailing_html}</section>" if rows else ""


def _render_preformatted(title: str, lines: Iterable[str], tag: str = "h2") -> str:
    """Return preformatted lines under a title."""
    body = escape("\n".join(lines))
    listing = f"<pre>{body}</pre>" if body else ""
    heading = f"<{tag}>{escape(title)}</{tag}>"
    return heading + listing if tag == "summary" else f"<section>{heading}{listing}</section>"


def _render_cost(cost: CostView) -> str:
    """Return the estimate: what costs more or less than now as a table, then the line items."""
    rows = list_cost_changes(cost)
    if not rows:
        return _render_preformatted(cost.headline, cost.lines)
    head = "".join(f'<th scope="col">{title}</th>' for title in COST_CHANGE_TITLES)
    body = "".join(
        f'<tr><th scope="row">{escape(row.name)}</th>{"".join(f"<td>{cell}</td>" for cell in row.cells)}</tr>'
        for row in rows
    )
    table = f'<table class="cost"><thead><tr>{head}</tr></thead><tbody>{body}</tbody></table>'
    listing = f"<pre>{escape(chr(10).join(cost.lines))}</pre>"
    return f"<section><h2>{escape(cost.headline)}</h2>{table}{listing}</section>"


def _render_code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _render_veto(veto: VetoView) -> str:
    prefix = f"{_render_code(veto.address)}: " if veto.address else ""
    return f"{prefix}{_render_sentence(veto.sentence)} ({escape(veto.name)})"


def _render_sentence(sentence: str) -> str:
    """Return a sentence as HTML, with the text between backticks as code elements."""
    return re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(sentence))


def _render_component(component: ComponentView) -> str:
    open_attribute = " open" if any(change.dangers or change.vetoes for change in component.changes) else ""
    summary = f"<summary>{escape(component.name)} <span>{escape(component.headline)}</span></summary>"
    body = "".join(_render_change(change) for change in component.changes)
    return f'<details class="component" data-name="{escape(component.name)}"{open_attribute}>{summary}{body}</details>'


def _render_change(change: ChangeView) -> str:
    css_class = "vetoed" if change.vetoes else change.action
    details = f"{change.action} {change.physical} {change.source_location}".strip()
    title = f"<h3><b>{escape(change.symbol)}</b> {escape(change.address)} <small>{escape(details)}</small></h3>"
    dangers = "".join(f'<p class="danger">{_render_sentence(danger)}</p>' for danger in change.dangers)
    rows = "".join(_render_field(field) for field in change.fields)
    table = f"<table>{rows}</table>" if rows else ""
    return f'<article class="{escape(css_class)}">{title}{dangers}{table}{_render_steps(change)}</article>'


def _render_field(field: FieldView) -> str:
    old = f"<del>{escape(field.before)}</del>" if field.before is not None else ""
    new = f"<ins>{escape(field.after)}</ins>" if field.after is not None else ""
    arrow = '<span class="arrow">→</span>' if old and new else ""
    sign = f'<td class="{_CLASS_BY_SIGN[field.sign]}">{field.sign}</td>'
    return f"<tr>{sign}<td>{escape(field.path)}</td><td>{old}{arrow}{new}</td></tr>"


def _render_steps(change: ChangeView) -> str:
    if not change.steps:
        return ""
    rows = "".join(f"<li><b>{escape(step.action)}</b> {escape(step.detail)}</li>" for step in change.steps)
    return f"<details><summary>{len(change.steps)} API calls</summary><ol>{rows}</ol></details>"
