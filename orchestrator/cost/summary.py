"""Format a cost estimate as a headline, one line per resource and warnings.  Pure."""

from __future__ import annotations

import math
from collections.abc import Iterator
from datetime import date

from orchestrator.cost.estimate import CostChange, Estimate, LineItem
from orchestrator.cost.price_list import MAX_AGE_DAYS

DAYS_PER_MONTH = 30
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
    expected, scope = "", "before VAT and traffic"
    if estimate.by_usage is not None:
        low, usual, high = estimate.by_usage
        expected, scope = (
            f", {usual:.2f} expected with the {estimate.usage_source} usage ({low:.2f} to {high:.2f})",
            "before VAT",
        )
    return f"{amount}{expected}, {estimate.active:.2f} if active all day, {scope} ({source}){missing}."


def _describe_unpriced(estimate: Estimate) -> str:
    named = [f"{address} ({reason})" for address, reason in estimate.unpriced[:MAX_NAMED]]
    rest = len(estimate.unpriced) - len(named)
    return ", ".join(named) + (f" and {rest} more" if rest else "")


def format_line_items(estimate: Estimate) -> list[str]:
    """Return one line per resource, the most expensive first, then what is not estimated and why."""
    sorted_items = sorted(
        estimate.line_items, key=lambda line_item: (-max(line_item.active, line_item.levels[1]), line_item.address)
    )
    width = max((len(line_item.address) for line_item in sorted_items), default=0)
    priced_lines = [
        f"{line_item.address:<{width}}  {_format_amount(line_item)}  {line_item.assumptions}"
        for line_item in sorted_items
    ]
    return [*priced_lines, *(f"{address}: not estimated, {reason}" for address, reason in estimate.unpriced)]


def list_warnings(estimate: Estimate, on: date | None = None) -> Iterator[str]:
    """Yield warnings about unexpected costs and missing prices; with ``on``, about prices that are old on that day."""
    if first_alert := describe_first_alert(estimate):
        yield first_alert
    if any(reason.startswith("no price for") for _, reason in estimate.unpriced):
        yield (
            f"The price list lacks some prices for {estimate.region}. To download current prices from AWS, run: "
            f"orchestrator prices refresh --region {estimate.region}"
        )
    if on is not None and estimate.as_of and (on - date.fromisoformat(estimate.as_of)).days > MAX_AGE_DAYS:
        yield (
            f"The list prices are from {estimate.as_of}, more than {MAX_AGE_DAYS} days ago. "
            "To estimate with current prices, run: orchestrator prices refresh"
        )


def describe_first_alert(estimate: Estimate) -> str:
    """Return how the first budget alert compares with what the stack always costs, "" if no budget has an alert."""
    if not estimate.budget_alerts or not estimate.line_items:
        return ""
    triggered_alerts = [alert for alert in estimate.budget_alerts if alert <= estimate.idle]
    if not triggered_alerts:
        alert = estimate.budget_alerts[0]
        margin = f"{alert - estimate.idle:.2f} USD above the idle cost of the stack"
        if estimate.by_usage is None or alert > estimate.expected:
            return (
                f"The first budget alert ({alert:g} USD) is {margin}: it reports higher usage, or resources that were "
                "left behind."
            )
        usage = f"the {estimate.usage_source} usage"
        return f"The first budget alert ({alert:g} USD) is {margin}, but {usage} exceeds it every month."
    amounts = " and ".join(f"{alert:g} USD" for alert in triggered_alerts)
    noun = "alert" if len(triggered_alerts) == 1 else "alerts"
    day = math.ceil(triggered_alerts[0] / estimate.idle * DAYS_PER_MONTH)
    return (
        f"The {amounts} budget {noun} will fire every month, the first on about day {day}: the stack costs about "
        f"{estimate.idle:.2f} USD a month even when nobody uses it. Raise the first alert, so that it reports only "
        "higher usage."
    )


def _format_amount(item: LineItem) -> str:
    if item.by_usage is not None:
        low, expected, high = item.by_usage
        return f"{expected:6.2f} ({low:.2f} to {high:.2f})"
    return f"{item.idle:6.2f}" if item.idle == item.active else f"{item.idle:6.2f} to {item.active:.2f}"
