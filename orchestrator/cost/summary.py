"""Format a cost estimate as a headline, one line per resource and warnings.  Pure."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import date

from orchestrator.cost.estimate import CostChange, Estimate
from orchestrator.cost.price_list import MAX_AGE_DAYS

MAX_NAMED = 3
"""Resources without a price that a headline names."""


def format_headline(estimate: Estimate, change: CostChange | None = None) -> str:
    """Return one sentence with both totals and what a change adds or saves.

    With anything unpriced the total is a lower limit, and the sentence names what is missing.
    """
    if not estimate.line_items:
        return f"Cost not estimated: {_describe_unpriced(estimate)}." if estimate.unpriced else ""
    change_note = f" ({change.idle:+.2f})" if change is not None and change.idle else ""
    amount = f"{'At least' if estimate.unpriced else 'About'} {estimate.idle:.2f} USD a month idle{change_note}"
    missing = f"; not estimated: {_describe_unpriced(estimate)}" if estimate.unpriced else ""
    source = f"{estimate.region}, list prices of {estimate.as_of}"
    return f"{amount}, {estimate.active:.2f} if active all day, before VAT and traffic ({source}){missing}."


def _describe_unpriced(estimate: Estimate) -> str:
    named = [f"{address} ({reason})" for address, reason in estimate.unpriced[:MAX_NAMED]]
    rest = len(estimate.unpriced) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def format_line_items(estimate: Estimate) -> list[str]:
    """Return one line per resource, the most expensive first, then what is not estimated and why."""
    sorted_items = sorted(estimate.line_items, key=lambda line_item: (-line_item.active, line_item.address))
    width = max((len(line_item.address) for line_item in sorted_items), default=0)
    priced_lines = [
        f"{line_item.address:<{width}}  {_format_amount(line_item.idle, line_item.active)}  {line_item.assumptions}"
        for line_item in sorted_items
    ]
    return [*priced_lines, *(f"{address}: not estimated, {reason}" for address, reason in estimate.unpriced)]


def list_warnings(estimate: Estimate, on: date | None = None) -> Iterator[str]:
    """Yield warnings about costs that users may not expect; with ``on``, about prices that are old on that day."""
    triggered_alerts = [alert for alert in estimate.budget_alerts if alert <= estimate.idle]
    if triggered_alerts:
        amounts = " and ".join(f"{alert:g} USD" for alert in triggered_alerts)
        noun = "alert" if len(triggered_alerts) == 1 else "alerts"
        yield (
            f"The {amounts} budget {noun} will fire every month: the stack costs about {estimate.idle:.2f} USD a month "
            "even when nobody uses it."
        )
    if on is not None and estimate.as_of and (on - date.fromisoformat(estimate.as_of)).days > MAX_AGE_DAYS:
        yield (
            f"The list prices are of {estimate.as_of}, more than {MAX_AGE_DAYS} days ago. "
            "To estimate with today's, run: orchestrator prices refresh"
        )


def _format_amount(idle: float, active: float) -> str:
    return f"{idle:6.2f}" if idle == active else f"{idle:6.2f} to {active:.2f}"
