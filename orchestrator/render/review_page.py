"""Render the monthly review as one page of Markdown.  Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from typing import Protocol

from orchestrator.cost import Estimate, format_headline
from orchestrator.cost.billed_months import MonthSpend
from orchestrator.cost.deadlines import Deadline
from orchestrator.cost.stack_cost import BudgetLimit
from orchestrator.quantities import format_count
from orchestrator.render.cost_report import ComponentRow, render_deadlines
from orchestrator.render.plan_view import clean_name, clean_sentence
from orchestrator.render.spend_report import split_months


class KeyRow(Protocol):
    """An access key with its age."""

    @property
    def user(self) -> str: ...

    @property
    def key(self) -> str: ...

    @property
    def age_days(self) -> int: ...

    @property
    def is_old(self) -> bool: ...


class ReviewData(Protocol):
    """What the page shows."""

    @property
    def title(self) -> str: ...

    @property
    def on(self) -> date: ...

    @property
    def estimate(self) -> Estimate: ...

    @property
    def components(self) -> Sequence[ComponentRow]: ...

    @property
    def last_month(self) -> Mapping[str, float] | None: ...

    @property
    def budgets(self) -> Sequence[BudgetLimit]: ...

    @property
    def months(self) -> Sequence[MonthSpend]: ...

    @property
    def leftovers(self) -> Sequence[str]: ...

    @property
    def keys(self) -> Sequence[KeyRow]: ...

    @property
    def drift(self) -> str: ...

    @property
    def due_drills(self) -> Sequence[str]: ...

    @property
    def dates(self) -> Sequence[Deadline]: ...

    @property
    def advice(self) -> Sequence[str]: ...

    @property
    def not_checked(self) -> Sequence[str]: ...


def render(review: ReviewData) -> str:
    """Return the page; every text of AWS in it is on one line and safe on a terminal."""
    lines = [f"# Review of {clean_name(review.title)} on {review.on}"]
    for heading, content in (("Cost", tuple(_render_cost(review))), *list_findings(review)):
        lines += ["", f"## {heading}", "", *(clean_sentence(line) if line else "" for line in content)]
    return "\n".join(lines)


def list_findings(review: ReviewData) -> tuple[tuple[str, tuple[str, ...]], ...]:
    """Return the heading and the lines of each section but the cost."""
    drills = [f"{name}: run `orchestrator restore database {name} --drill`" for name in review.due_drills]
    return (
        ("Possible savings", tuple(_render_list(review.advice, "No savings were found."))),
        ("Leftovers", tuple(_render_list(review.leftovers, "No leftover resources were found."))),
        ("Access keys", tuple(_render_keys(review.keys))),
        ("Drift", (f"{review.drift}. Details: `orchestrator drift`",)),
        ("Restore drills", tuple(_render_list(drills, "No restore drill is due."))),
        ("Dates", tuple(_render_dates(review.dates))),
        ("Not checked", tuple(_render_list(review.not_checked, "All data was read."))),
    )


def _render_cost(review: ReviewData) -> Iterator[str]:
    """Yield the costs by component, the budgets, and what AWS has billed."""
    estimate = review.estimate
    yield format_headline(estimate) or "No resource has a cost."
    if review.components or review.last_month:
        yield from ("", *_render_components(review), "")
    if review.last_month is None:
        yield "* The cost of last month by component is not available: it requires a state service."
    for budget in review.budgets:
        share = 100 * estimate.expected / budget.limit
        alert = f"; the first alert is at {budget.alerts[0]:g} USD" if budget.alerts else ""
        yield f"* {budget.component}: {share:.0f} % of {budget.limit:g} USD a month{alert}."
    last_month, this_month = split_months(review.months, review.on)
    if last_month is not None:
        month = f"{last_month.first_day:%Y-%m}"
        yield f"* Billed for the whole account in {month}: {last_month.total:.2f} USD before credits."
    if this_month is not None:
        yield (
            f"* Billed this month until {this_month.last_day}: {this_month.total:.2f} USD; forecast for "
            f"the whole month: {this_month.projected:.2f} USD."
        )
    if not review.months:
        yield "* Billed costs were not read: to read them, add --actual (0.01 USD)."


def _render_components(review: ReviewData) -> Iterator[str]:
    """Yield a table of the components; with last month, also those that only cost something then."""
    before = review.last_month
    yield f"| component | idle | expected | active |{' last month | change |' if before is not None else ''}"
    yield f"|---|---:|---:|---:|{'---:|---:|' if before is not None else ''}"
    rows = [(row.component, row.idle, row.expected, row.active) for row in review.components]
    names = {row.component for row in review.components}
    rows += [(name, 0.0, 0.0, 0.0) for name in sorted(before or ()) if name not in names]
    for name, idle, expected, active in rows:
        amount = (before or {}).get(name, 0.0)
        comparison = f" {amount:.2f} | {expected - amount:+.2f} |" if before is not None else ""
        yield f"| {name} | {idle:.2f} | {expected:.2f} | {active:.2f} |{comparison}"


def _render_list(sentences: Sequence[str], empty: str) -> Iterator[str]:
    """Yield one bullet a sentence, or what it means that there is none."""
    yield from (f"* {sentence}" for sentence in sentences)
    if not sentences:
        yield empty


def _render_keys(keys: Sequence[KeyRow]) -> Iterator[str]:
    """Yield the access keys of IAM users with their age."""
    if not keys:
        yield "No IAM user in the account has an active access key."
    for key in keys:
        advice = ": replace it, or use roles" if key.is_old else ""
        yield f"* {key.user}, key {key.key}: {format_count(key.age_days, 'day')} old{advice}."


def _render_dates(dates: Sequence[Deadline]) -> Iterator[str]:
    """Yield the dates of the next 180 days."""
    text = render_deadlines(dates)
    yield from (f"* {line}" for line in text.splitlines())
    if not text:
        yield "No dates in the next 180 days."
