"""What a stack costs a month, from AWS's list prices of a given day.  Pure: no pricing API is called.

    before, after = estimate(live, region), estimate(desired, region)
    delta(before, after).idle

Prices are before VAT, discounts, credits and traffic.  What has no price here is named, never guessed.
"""

from orchestrator.cost.estimate import Delta, Estimate, Line, delta, estimate
from orchestrator.cost.summary import headline, lines, notes

__all__ = ["Delta", "Estimate", "Line", "delta", "estimate", "headline", "lines", "notes"]
