"""Format and print plans, with their costs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from orchestrator.problems import Position
from orchestrator.render import plan_view
from orchestrator.render.field_values import MAX_VALUE_CHARACTERS
from orchestrator.render.plan_text import DetailLevel
from orchestrator.render.style import Style
from orchestrator.runs.terminal import Terminal
from orchestrator.vocabulary import Resource

if TYPE_CHECKING:
    from orchestrator.cost import Estimate
    from orchestrator.planning.plan import PreparedPlan, Task

PlanFormat = Literal["text", "json", "markdown", "html"]

_MAX_VALUE_LENGTHS = {"markdown": 400, "html": 4_000}


def format_plan(
    planned: PreparedPlan, plan_format: PlanFormat, style: Style, *, steps: bool = False, show_fields: bool = False
) -> str:
    """Return ``planned`` as text (``show_fields``: every field of new resources), JSON, Markdown or HTML."""
    if plan_format == "json":
        from orchestrator import canonical_json

        return canonical_json.dump(planned.plan).decode() + "\n"
    max_value_length = _MAX_VALUE_LENGTHS.get(plan_format, MAX_VALUE_CHARACTERS)
    view = plan_view.build_view(
        planned.plan,
        cost=cost_view(planned),
        include_steps=steps or plan_format == "html",
        max_value_characters=max_value_length,
    )
    if plan_format == "markdown":
        from orchestrator.render import plan_markdown

        return plan_markdown.render(view)
    if plan_format == "html":
        from orchestrator.render import plan_html

        return plan_html.render(view)
    from orchestrator.render import plan_text

    return plan_text.render(view, style, "full" if steps or show_fields else "brief")


def print_plan(terminal: Terminal, planned: PreparedPlan, detail: DetailLevel = "brief") -> None:
    """Print ``planned`` as text in the given detail; as a collapsed group in GitHub Actions."""
    from orchestrator.render import plan_text, workflow_commands

    plan = planned.plan
    plan_lines = plan_text.render(plan_view.build_view(plan, cost=cost_view(planned)), terminal.style, detail)
    if terminal.is_github_actions:
        terminal.print_out(
            workflow_commands.group(f"Plan for {plan.project}/{plan.environment}: {plan_view.format_headline(plan)}")
        )
    terminal.print_out(plan_lines)
    if terminal.is_github_actions:
        terminal.print_out(workflow_commands.END_GROUP)


def cost_view(planned: PreparedPlan) -> plan_view.CostView | None:
    """Return the monthly cost after ``planned``, with line items if it changes; None if no resources remain."""
    from orchestrator import cost as pricing

    cost_estimates = estimate_costs(planned)
    if cost_estimates is None:
        return None
    before, after = cost_estimates
    cost_delta = pricing.compare(before, after)
    if not cost_delta.changed_items:
        return plan_view.CostView(pricing.format_headline(after), ())
    return plan_view.CostView(
        pricing.format_headline(after, cost_delta),
        tuple(pricing.format_line_items(after)),
        tuple(pricing.list_warnings(after)),
    )


def estimate_costs(planned: PreparedPlan) -> tuple[Estimate, Estimate] | None:
    """Return the monthly costs before and after ``planned``; None if no resources remain."""
    from orchestrator import cost as pricing

    changed_addresses = {change.address for change in planned.plan.changes}
    resources_with_live = [
        (task.resource, _live_resource(task)) for task in planned.tasks.values() if task.resource is not None
    ]
    resources_before = [live for _, live in resources_with_live if live is not None]
    resources_before += [
        removed_resource for task in planned.tasks.values() if (removed_resource := _removed_resource(task)) is not None
    ]
    resources_after = [
        live for resource, live in resources_with_live if live is not None and resource.address not in changed_addresses
    ]
    resources_after += [resource for resource, _ in resources_with_live if resource.address in changed_addresses]
    region = planned.scope.region
    return (
        (pricing.estimate(resources_before, region), pricing.estimate(resources_after, region))
        if resources_after
        else None
    )


def _removed_resource(task: Task) -> Resource | None:
    """Return the live resource that ``task`` deletes, under its physical name; None if it deletes none."""
    if task.discovered is None or task.live is None:
        return None
    name = task.discovered.physical
    return Resource(task.discovered.type, name, name, task.live.spec, task.live.component or "", Position(""))


def _live_resource(task: Task) -> Resource | None:
    """Return the resource of ``task`` as it is in AWS now; None if it does not exist."""
    if task.resource is None or task.live is None:
        return None
    return replace(task.resource, spec={**task.resource.spec, **task.live.spec})
