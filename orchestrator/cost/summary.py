"""Format a cost estimate as a headline, one line per resource and warnings.  Pure."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cost.estimate import CostChange, Estimate


def format_headline(estimate: Estimate, change: CostChange | None = None) -> str:
    """Return one sentence with both totals and what a change adds or saves."""
    if not estimate.line_items:
        return (
            f"Cost not estimated: {len(estimate.unpriced)} resources have no known price." if estimate.unpriced else ""
        )
    change_note = f" ({change.idle:+.2f})" if change is not None and change.idle else ""
    unpriced_note = f"; {len(estimate.unpriced)} not estimated" if estimate.unpriced else ""
    totals = f"About {estimate.idle:.2f} USD a month idle{change_note}, {estimate.active:.2f} if active all day"
    return f"{totals}, before VAT and traffic{unpriced_note} ({estimate.region}, list prices of {estimate.as_of})."


def format_line_items(estimate: Estimate) -> list[str]:
    """Return one line per resource, the most expensive first, then what is not estimated and why."""
    sorted_items = sorted(estimate.line_items, key=lambda line_item: (-line_item.active, line_item.address))
    width = max((len(line_item.address) for line_item in sorted_items), default=0)
    priced_lines = [
        f"{line_item.address:<{width}}  {_format_amount(line_item.idle, line_item.active)}  {line_item.assumptions}"
        for line_item in sorted_items
    ]
    return [*priced_lines, *(f"{address}: not estimated, {reason}" for address, reason in estimate.unpriced)]


def list_warnings(estimate: Estimate) -> Iterator[str]:
    """Yield warnings about costs that users may not expect."""
    triggered_alerts = [alert for alert in estimate.budget_alerts if alert <= estimate.idle]
    if triggered_alerts:
        amounts = " and ".join(f"{alert:g} USD" for alert in triggered_alerts)
        noun = "alert" if len(triggered_alerts) == 1 else "alerts"
        yield (
            f"The {amounts} budget {noun} will fire every month: the stack costs about {estimate.idle:.2f} USD a month "
            "even when nobody uses it."
        )


def _format_amount(idle: float, active: float) -> str:
    return f"{idle:6.2f}" if idle == active else f"{idle:6.2f} to {active:.2f}"
