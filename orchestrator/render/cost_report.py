"""Render what a stack costs and what changes when: the texts of `orchestrator cost` and `orchestrator outlook`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import date

from orchestrator.cost import Estimate, format_headline, format_line_items, list_warnings
from orchestrator.cost.account_offers import CREDITS_SINCE, MAX_CREDITS_USD, months_covered, offer_for
from orchestrator.cost.deadlines import Deadline
from orchestrator.values import Value


def render_text(
    estimate: Estimate, components: Iterable[tuple[str, float, float]], on: date, account_created: date | None
) -> str:
    """Return the report: the headline, a table by component, one line a resource, then warnings and account offers."""
    rows = sorted(components, key=lambda row: (-row[2], row[0]))
    width = max([len("component"), *(len(name) for name, _, _ in rows)])
    table = [
        f"{'component':<{width}}    idle  active",
        *(f"{name:<{width}}  {idle:6.2f}  {active:6.2f}" for name, idle, active in rows),
        f"{'total':<{width}}  {estimate.idle:6.2f}  {estimate.active:6.2f}",
    ]
    sections = [
        [format_headline(estimate)],
        table if rows else [],
        format_line_items(estimate),
        [*list_warnings(estimate, on), *describe_account(estimate, on, account_created)],
    ]
    return "\n\n".join("\n".join(section) for section in sections if any(section))


def to_json(
    estimate: Estimate, components: Iterable[tuple[str, float, float]], on: date, account_created: date | None
) -> dict[str, Value]:
    """Return the report as data; amounts are USD per month before VAT."""
    return {
        "region": estimate.region,
        "prices_of": estimate.as_of,
        "is_complete": not estimate.unpriced,
        "idle_usd": estimate.idle,
        "active_usd": estimate.active,
        "components": [
            {"component": name, "idle_usd": idle, "active_usd": active} for name, idle, active in sorted(components)
        ],
        "resources": [
            {"address": item.address, "idle_usd": item.idle, "active_usd": item.active, "assumptions": item.assumptions}
            for item in estimate.line_items
        ],
        "not_estimated": [{"address": address, "reason": reason} for address, reason in estimate.unpriced],
        "warnings": [*list_warnings(estimate, on), *describe_account(estimate, on, account_created)],
    }


def describe_account(estimate: Estimate, on: date, created: date | None) -> Iterator[str]:
    """Yield what AWS gives to an account created on a day, and what the stack costs after that."""
    if created is None:
        return
    offer = offer_for(created)
    state = "ended on" if offer.has_ended(on) else "ends on"
    yield f"An account created on {created} gets {offer.description}; this offer {state} {offer.ends}."
    if created >= CREDITS_SINCE and (months := months_covered(MAX_CREDITS_USD, estimate.idle)) is not None:
        yield f"{MAX_CREDITS_USD} USD of credits pay for {months:g} months of this stack."
    if offer.free_plan_closes is not None:
        yield (
            f"On the Free plan AWS closes the account on {offer.free_plan_closes}, or when the credits are used. "
            "Upgrade it to the Paid plan before production depends on it."
        )
    yield f"Without free months and credits the stack costs {estimate.idle:.2f} USD a month."


def render_deadlines(deadlines: Iterable[Deadline]) -> str:
    """Return one line a deadline: the date, the resource, the effect and the source."""
    return "\n".join(
        f"{deadline.on}  {deadline.address}: {deadline.effect} ({deadline.source})" for deadline in deadlines
    )
