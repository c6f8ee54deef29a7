"""A plan in the form that was asked for."""

from __future__ import annotations

from typing import Literal

from orchestrator.cli.terminal import Terminal
from orchestrator.model import Desired, Plan
from orchestrator.render import view
from orchestrator.render.style import Style
from orchestrator.render.values import LONGEST

Form = Literal["text", "json", "markdown", "html"]

_LONGEST = {"markdown": 400, "html": 4_000}


def plan(plan: Plan, form: Form, style: Style, *, desired: Desired | None = None, steps: bool = False) -> str:
    """``plan`` as text, JSON, Markdown or HTML; the cost is known when ``desired`` is given."""
    if form == "json":
        from orchestrator import wire

        return wire.dump(plan).decode() + "\n"
    longest = _LONGEST.get(form, LONGEST)
    seen = view.view(plan, cost=_cost(desired), steps=steps or form == "html", longest=longest)
    if form == "markdown":
        from orchestrator.render import markdown

        return markdown.render(seen)
    if form == "html":
        from orchestrator.render import html

        return html.render(seen)
    from orchestrator.render import text

    return text.render(seen, style)


def to(terminal: Terminal, plan_: Plan, desired: Desired | None = None) -> None:
    """Print ``plan_`` as text; folded in GitHub Actions."""
    from orchestrator.render import actions

    if terminal.in_actions:
        terminal.say(actions.group(f"Plan for {plan_.project}/{plan_.environment}: {view.headline(plan_)}"))
    terminal.say(plan(plan_, "text", terminal.style, desired=desired))
    if terminal.in_actions:
        terminal.say(actions.END_GROUP)


def _cost(desired: Desired | None) -> view.CostView | None:
    return None
