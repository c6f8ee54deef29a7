"""Format and print plans, with their costs."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Literal

from msgspec.structs import replace

from orchestrator.render import plan_view
from orchestrator.render.field_values import MAX_VALUE_CHARACTERS
from orchestrator.render.plan_text import DetailLevel
from orchestrator.render.style import Style
from orchestrator.runs.terminal import Terminal

if TYPE_CHECKING:
    from orchestrator.cost import Estimate
    from orchestrator.cost.stack_cost import StackCost
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.render.release_summary import ReleaseFacts
    from orchestrator.vocabulary import Resource

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
    from orchestrator.cost import advice as cost_advice
    from orchestrator.cost import by_component
    from orchestrator.planning import planned_cost
    from orchestrator.render import cost_report

    cost_estimates = estimate_costs(planned)
    if cost_estimates is None:
        return None
    before, after = cost_estimates
    today = datetime.now(UTC).date()
    resources_after = planned_cost.list_after(planned.tasks.values(), _changed_addresses(planned))
    resources_before = planned_cost.list_before(planned.tasks.values())
    deadline_warnings = tuple(_describe_dates(planned, resources_after, today))
    cost_delta = pricing.compare(before, after)
    changed = [item for item in resources_after if item.address in _changed_addresses(planned)]
    advice = (
        *cost_advice.describe_migrations(changed, planned.scope.region),
        *cost_advice.advise(resources_after, planned.scope.region, planned.live),
    )
    if not cost_delta.changed_items:
        changes_budget = any(address.startswith("budgets_budget.") for address in _changed_addresses(planned))
        warnings = tuple(pricing.list_warnings(after, today)) if changes_budget else ()
        migrations = cost_advice.describe_migrations(changed, planned.scope.region)
        return plan_view.CostView(pricing.format_headline(after), (), (*warnings, *deadline_warnings, *migrations))
    return plan_view.CostView(
        pricing.format_headline(after, cost_delta),
        tuple(pricing.format_line_items(after)),
        (
            *pricing.list_warnings(after, today),
            *cost_report.describe_account(after, today, planned.account_created),
            *deadline_warnings,
            *advice,
        ),
        by_component.sum_changes(
            cost_delta.changed_items, {item.address: item.component for item in (*resources_before, *resources_after)}
        ),
    )


def _describe_dates(planned: PreparedPlan, resources_after: list[Resource], today: date) -> Iterator[str]:
    """Yield the dates on which AWS changes what exists after ``planned``, and what it costs from then on."""
    from orchestrator.cost import deadlines, project_prices, scheduled_changes

    yield from deadlines.list_warnings(resources_after, today)
    prices = project_prices.load()
    for change in scheduled_changes.list_scheduled_changes(
        resources_after, planned.scope.region, prices, today, planned.usage
    ):
        yield change.describe()


def add_summary(view: plan_view.PlanView, planned: PreparedPlan, facts: ReleaseFacts) -> plan_view.PlanView:
    """Add the line that says what the plan would release; a site that is rebuilt is never "no changes"."""
    from orchestrator import cost as pricing
    from orchestrator import resources
    from orchestrator.render import release_summary

    estimates = estimate_costs(planned)
    change = pricing.compare(*estimates).idle if estimates is not None else None
    types = {change.address.partition(".")[0] for change in planned.plan.changes}
    quiet_effects = frozenset[str]().union(*map(resources.non_disruptive_effects, types))
    headline = view.headline
    if not planned.plan.pending_changes and facts.sites:
        headline = headline.replace("No changes: ", "The site will be rebuilt; no other changes: ", 1)
    summary = release_summary.summarize(planned.plan, facts, change, quiet_effects)
    return replace(view, headline=headline, summary=summary)


def estimate_costs(planned: PreparedPlan) -> tuple[Estimate, Estimate] | None:
    """Return the monthly costs before and after ``planned``; None if no resources remain."""
    from orchestrator.planning import planned_cost

    changed_addresses = _changed_addresses(planned)
    if not planned_cost.list_after(planned.tasks.values(), changed_addresses):
        return None
    today = datetime.now(UTC).date()
    return planned_cost.estimate_change(planned.tasks, changed_addresses, planned.scope.region, today, planned.usage)


def summarize_cost(planned: PreparedPlan) -> StackCost:
    """Return what the stack costs after ``planned``, by component; nothing if no resources remain."""
    from orchestrator.cost import stack_cost
    from orchestrator.planning import planned_cost

    estimates = estimate_costs(planned)
    if estimates is None:
        return stack_cost.StackCost()
    return stack_cost.summarize(
        estimates[1], planned_cost.list_after(planned.tasks.values(), _changed_addresses(planned))
    )


def _changed_addresses(planned: PreparedPlan) -> set[str]:
    return {change.address for change in planned.plan.pending_changes}
