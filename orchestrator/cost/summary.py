"""The estimate in words: a headline, a line a resource, and what deserves a note."""

from __future__ import annotations

from collections.abc import Iterator

from orchestrator.cost.estimate import Delta, Estimate


def headline(estimate: Estimate, change: Delta | None = None) -> str:
    """One sentence: both sums, and what a change adds or saves."""
    if not estimate.lines:
        return f"Not estimated: {len(estimate.unpriced)} resources without a known price." if estimate.unpriced else ""
    moved = f" ({change.idle:+.2f})" if change is not None and change.idle else ""
    left_out = f"; {len(estimate.unpriced)} not estimated" if estimate.unpriced else ""
    sums = f"About {estimate.idle:.2f} USD a month idle{moved}, {estimate.active:.2f} if active all day"
    return f"{sums}, before VAT and traffic{left_out} ({estimate.region}, list prices of {estimate.as_of})."


def lines(estimate: Estimate) -> list[str]:
    """A line a resource, the dearest first, then what is not estimated and why."""
    dearest = sorted(estimate.lines, key=lambda line: (-line.active, line.address))
    width = max((len(line.address) for line in dearest), default=0)
    priced = [f"{line.address:<{width}}  {_amount(line.idle, line.active)}  {line.assumes}" for line in dearest]
    return [*priced, *(f"{address}: not estimated, {why}" for address, why in estimate.unpriced)]


def notes(estimate: Estimate) -> Iterator[str]:
    """What should not come as a surprise."""
    fired = [alert for alert in estimate.alerts if alert <= estimate.idle]
    if fired:
        which = " and ".join(f"{alert:g} USD" for alert in fired)
        word = "alert" if len(fired) == 1 else "alerts"
        yield (
            f"The {which} budget {word} will fire every month: the stack costs about {estimate.idle:.2f} USD a month "
            "even when nobody uses it."
        )


def _amount(idle: float, active: float) -> str:
    return f"{idle:6.2f}" if idle == active else f"{idle:6.2f} to {active:.2f}"
