"""A plan as one page that needs no other file.  Pure: layout over ``view``; every text is escaped.

The page's own style and script are named by their hashes in its Content-Security-Policy, so nothing else can run.
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
from orchestrator.render.plan_view import ChangeView, ComponentView, PlanView, VetoView

_SIGNS = {"+": "plus", "-": "minus", "~": "tilde"}


def render(plan: PlanView) -> str:
    """The whole plan; components with something to look at are open."""
    style, script = _asset("page.css"), _asset("page.js")
    return Template(_asset("page.html")).substitute(
        parts(plan),
        title=escape(plan.title),
        place=escape(plan.place),
        headline=escape(plan.headline),
        foot=escape(f"Digest {plan.digest}") if plan.components and plan.digest else "",
        style=style,
        script=script,
        style_hash=_hash(style),
        script_hash=_hash(script),
    )


def parts(plan: PlanView) -> dict[str, str]:
    """The plan for a page with a frame of its own: ``alarms``, ``components``, ``asides`` are HTML, ``mood`` a word."""
    return {
        "mood": "bad" if plan.vetoes else "" if plan.components else "good",
        "alarms": "\n".join(_alarms(plan)),
        "components": "\n".join(_component(component) for component in plan.components),
        "asides": "\n".join(_asides(plan)),
    }


def _asset(name: str) -> str:
    return resources.files(__package__).joinpath(name).read_text(encoding="utf-8")


def _hash(text: str) -> str:
    return "sha256-" + base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()


def _alarms(plan: PlanView) -> Iterator[str]:
    hint = f"<p>If this is what you want, say so for this very plan: <code>{escape(plan.token_hint)}</code></p>"
    title = "Vetoed: nothing will be applied until this is settled"
    yield _section(title, map(_veto, plan.vetoes), "bad", hint if plan.token_hint else "")
    dangers = (f"{_code(address)}: {escape(why)}" for address, why in plan.dangers)
    yield _section("Look at these first", dangers, "bad")


def _asides(plan: PlanView) -> Iterator[str]:
    yield _section("Not checked", (f"{_code(item.address)}: {escape(item.reason)}" for item in plan.unread))
    yield _section("Not well", map(escape, plan.unwell))
    yield _section("Notes", map(escape, plan.notes))
    if plan.cost is not None:
        yield _aside(plan.cost.headline, plan.cost.lines)
    if plan.permissions:
        yield f"<details>{_aside('Permissions that applying needs', plan.permissions, 'summary')}</details>"


def _section(title: str, items: Iterable[str], mood: str = "", after: str = "") -> str:
    """``items`` and ``after`` are HTML; nothing when there are no items."""
    rows = "".join(f"<li>{item}</li>" for item in items if item)
    kind = f' class="{mood}"' if mood else ""
    return f"<section{kind}><h2>{escape(title)}</h2><ul>{rows}</ul>{after}</section>" if rows else ""


def _aside(title: str, lines: Iterable[str], tag: str = "h2") -> str:
    """Lines as they are aligned, under a title."""
    body = escape("\n".join(lines))
    listing = f"<pre>{body}</pre>" if body else ""
    heading = f"<{tag}>{escape(title)}</{tag}>"
    return heading + listing if tag == "summary" else f"<section>{heading}{listing}</section>"


def _code(text: str) -> str:
    return f"<code>{escape(text)}</code>"


def _veto(veto: VetoView) -> str:
    place = f"{_code(veto.address)}: " if veto.address else ""
    sentence = re.sub(r"`([^`]+)`", r"<code>\1</code>", escape(veto.sentence))
    return f"{place}{sentence} ({escape(veto.name)})"


def _component(component: ComponentView) -> str:
    opened = " open" if any(change.dangers or change.vetoes for change in component.changes) else ""
    summary = f"<summary>{escape(component.name)} <span>{escape(component.headline)}</span></summary>"
    body = "".join(_change(change) for change in component.changes)
    return f'<details class="component" data-name="{escape(component.name)}"{opened}>{summary}{body}</details>'


def _change(change: ChangeView) -> str:
    kind = "vetoed" if change.vetoes else change.action
    aside = f"{change.action} {change.physical} {change.where}".strip()
    title = f"<h3><b>{escape(change.symbol)}</b> {escape(change.address)} <small>{escape(aside)}</small></h3>"
    dangers = "".join(f'<p class="danger">{escape(danger)}</p>' for danger in change.dangers)
    rows = "".join(_field(field) for field in change.fields)
    table = f"<table>{rows}</table>" if rows else ""
    return f'<article class="{escape(kind)}">{title}{dangers}{table}{_steps(change)}</article>'


def _field(field: FieldView) -> str:
    old = f"<del>{escape(field.before)}</del>" if field.before is not None else ""
    new = f"<ins>{escape(field.after)}</ins>" if field.after is not None else ""
    arrow = '<span class="arrow">→</span>' if old and new else ""
    sign = f'<td class="{_SIGNS[field.sign]}">{field.sign}</td>'
    return f"<tr>{sign}<td>{escape(field.path)}</td><td>{old}{arrow}{new}</td></tr>"


def _steps(change: ChangeView) -> str:
    if not change.steps:
        return ""
    rows = "".join(f"<li><b>{escape(step.action)}</b> {escape(step.detail)}</li>" for step in change.steps)
    return f"<details><summary>{len(change.steps)} API calls</summary><ol>{rows}</ol></details>"
