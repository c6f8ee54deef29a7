"""A plan in the form that was asked for."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from orchestrator.problems import Position
from orchestrator.render import plan_view
from orchestrator.render.field_values import LONGEST
from orchestrator.render.plan_text import Detail
from orchestrator.render.style import Style
from orchestrator.runs.terminal import Terminal
from orchestrator.vocabulary import Resource

if TYPE_CHECKING:
    from orchestrator.cost import Estimate
    from orchestrator.planning.plan import Planned, Task

Form = Literal["text", "json", "markdown", "html"]

_LONGEST = {"markdown": 400, "html": 4_000}


def plan(planned: Planned, form: Form, style: Style, *, steps: bool = False, fields: bool = False) -> str:
    """``planned`` as text (with all ``fields`` of what is new, or without), JSON, Markdown or HTML."""
    if form == "json":
        from orchestrator import canonical_json

        return canonical_json.dump(planned.plan).decode() + "\n"
    longest = _LONGEST.get(form, LONGEST)
    seen = plan_view.view(planned.plan, cost=cost(planned), steps=steps or form == "html", longest=longest)
    if form == "markdown":
        from orchestrator.render import plan_markdown

        return plan_markdown.render(seen)
    if form == "html":
        from orchestrator.render import plan_html

        return plan_html.render(seen)
    from orchestrator.render import plan_text

    return plan_text.render(seen, style, "full" if steps or fields else "brief")


def to(terminal: Terminal, planned: Planned, detail: Detail = "brief") -> None:
    """Print ``planned`` as text, in as much detail as is asked for; folded in GitHub Actions."""
    from orchestrator.render import plan_text, workflow_commands

    made = planned.plan
    shown = plan_text.render(plan_view.view(made, cost=cost(planned)), terminal.style, detail)
    if terminal.in_actions:
        terminal.say(workflow_commands.group(f"Plan for {made.project}/{made.environment}: {plan_view.headline(made)}"))
    terminal.say(shown)
    if terminal.in_actions:
        terminal.say(workflow_commands.END_GROUP)


def cost(planned: Planned) -> plan_view.CostView | None:
    """What the stack will cost a month, with its lines when that changes; None when it will cost nothing."""
    from orchestrator import cost as pricing

    found = estimates(planned)
    if found is None:
        return None
    before, after = found
    moved = pricing.delta(before, after)
    if not moved.lines:
        return plan_view.CostView(pricing.headline(after), ())
    return plan_view.CostView(pricing.headline(after, moved), tuple(pricing.lines(after)), tuple(pricing.notes(after)))


def estimates(planned: Planned) -> tuple[Estimate, Estimate] | None:
    """What the stack costs a month before and after; None when there will be none."""
    from orchestrator import cost as pricing

    changed = {change.address for change in planned.plan.changes}
    priced = [(task.resource, _live(task)) for task in planned.tasks.values() if task.resource is not None]
    standing = [live for _, live in priced if live is not None]
    standing += [gone for task in planned.tasks.values() if (gone := _going(task)) is not None]
    wanted = [live for resource, live in priced if live is not None and resource.address not in changed]
    wanted += [resource for resource, _ in priced if resource.address in changed]
    region = planned.scope.region
    return (pricing.estimate(standing, region), pricing.estimate(wanted, region)) if wanted else None


def _going(task: Task) -> Resource | None:
    """What is there and will be no more: by the name under which the plan has it."""
    if task.found is None or task.live is None:
        return None
    name = task.found.physical
    return Resource(task.found.type, name, name, task.live.spec, task.live.component or "", Position(""))


def _live(task: Task) -> Resource | None:
    """What there is now, in the shape in which it is priced."""
    if task.resource is None or task.live is None:
        return None
    return replace(task.resource, spec={**task.resource.spec, **task.live.spec})
