"""What a stack costs a month, from AWS's list prices of a given day.  Pure: no pricing API is called.

    before, after = estimate(live, region), estimate(desired, region)
    delta(before, after).idle

Prices are before VAT, discounts, credits and traffic.  What has no price here is named, never guessed.
"""

from orchestrator.cost.estimate import CostChange, Estimate, LineItem, compare, estimate
from orchestrator.cost.summary import format_headline, format_line_items, list_warnings

__all__ = [
    "CostChange",
    "Estimate",
    "LineItem",
    "compare",
    "estimate",
    "format_headline",
    "format_line_items",
    "list_warnings",
]
