"""Format and print plans, with their costs."""

from __future__ import annotations

from datetime import UTC, datetime
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
    from orchestrator.cost import deadlines

    cost_estimates = estimate_costs(planned)
    if cost_estimates is None:
        return None
    before, after = cost_estimates
    today = datetime.now(UTC).date()
    deadline_warnings = tuple(deadlines.list_warnings(_resources_after(planned), today))
    cost_delta = pricing.compare(before, after)
    if not cost_delta.changed_items:
        return plan_view.CostView(pricing.format_headline(after), (), deadline_warnings)
    return plan_view.CostView(
        pricing.format_headline(after, cost_delta),
        tuple(pricing.format_line_items(after)),
        (*pricing.list_warnings(after, today), *deadline_warnings),
    )


def estimate_costs(planned: PreparedPlan) -> tuple[Estimate, Estimate] | None:
    """Return the monthly costs before and after ``planned``; None if no resources remain."""
    from orchestrator import cost as pricing
    from orchestrator.runs import price_settings

    if not (resources_after := _resources_after(planned)):
        return None
    prices, today, region = price_settings.load(), datetime.now(UTC).date(), planned.scope.region
    before, after = (
        pricing.estimate(resources, region, prices, on=today)
        for resources in (_resources_before(planned), resources_after)
    )
    return before, after


def _resources_before(planned: PreparedPlan) -> list[Resource]:
    """Return what exists in AWS now, also what the plan deletes."""
    declared = [
        live
        for task in planned.tasks.values()
        if task.resource is not None and (live := _live_resource(task)) is not None
    ]
    removed = [resource for task in planned.tasks.values() if (resource := _removed_resource(task)) is not None]
    return declared + removed


def _resources_after(planned: PreparedPlan) -> list[Resource]:
    """Return what exists after the plan: unchanged resources as they are in AWS, changed ones as declared."""
    changed_addresses = {change.address for change in planned.plan.changes}
    resources: list[Resource] = []
    for task in planned.tasks.values():
        if task.resource is None:
            continue
        if task.resource.address in changed_addresses:
            resources.append(task.resource)
        elif (live := _live_resource(task)) is not None:
            resources.append(live)
    return resources


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
