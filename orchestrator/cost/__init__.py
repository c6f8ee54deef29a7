"""Estimate what a stack costs per month, from AWS's list prices of a given day.  Calls no pricing API.

    before, after = estimate(live, region), estimate(desired, region)
    compare(before, after).idle

Prices exclude VAT, discounts, credits and traffic.  Resources without a known price are listed, never guessed.
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
