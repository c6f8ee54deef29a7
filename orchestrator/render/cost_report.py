"""Render what a stack costs and what changes when: the texts of `orchestrator cost` and `orchestrator outlook`."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from typing import NotRequired, Protocol, TypedDict

from orchestrator.cost import Estimate, format_headline, format_line_items, list_warnings
from orchestrator.cost.account_offers import CREDITS_SINCE, MAX_CREDITS_USD, months_covered, offer_for
from orchestrator.cost.deadlines import Deadline
from orchestrator.cost.declared_usage import UsageByComponent
from orchestrator.cost.scheduled_changes import ScheduledChange
from orchestrator.render.spend_report import SpendDocument


class ComponentRow(Protocol):
    """Monthly cost of one component in USD."""

    @property
    def component(self) -> str: ...

    @property
    def idle(self) -> float: ...

    @property
    def expected(self) -> float: ...

    @property
    def active(self) -> float: ...


class ComponentCost(TypedDict):
    """Monthly cost of one component in USD."""

    component: str
    idle_usd: float
    expected_usd: float
    active_usd: float


class ResourceCost(TypedDict):
    """Monthly cost of one resource in USD, and what the figures assume."""

    address: str
    idle_usd: float
    active_usd: float
    assumptions: str


class UnpricedResource(TypedDict):
    """A resource without a price, and why."""

    address: str
    reason: str


class UsageCost(TypedDict):
    """Monthly cost in USD by the use that the manifests declare; None where they declare none."""

    low: float | None
    expected: float | None
    high: float | None


class MeasuredAmount(TypedDict):
    """A measure of one component, as in ``usage:`` of its manifest."""

    component: str
    measure: str
    low: float
    expected: float
    high: float


class MeasuredDocument(TypedDict):
    """Usage that CloudWatch measured from ``first_day`` to ``last_day``."""

    first_day: str
    last_day: str
    amounts: list[MeasuredAmount]


class ScheduledCost(TypedDict):
    """The first day of another monthly cost when idle, in USD, and what costs more or less from then on."""

    on: str
    before_usd: float
    after_usd: float
    causes: list[str]


class CostDocument(TypedDict):
    """Output of ``orchestrator cost --format json``.

    ``actual`` is present only with ``--actual``, ``measured`` only with ``--measured``.
    """

    region: str
    prices_of: str
    is_complete: bool
    idle_usd: float
    active_usd: float
    usage_usd: UsageCost
    components: list[ComponentCost]
    resources: list[ResourceCost]
    not_estimated: list[UnpricedResource]
    warnings: list[str]
    scheduled_changes: list[ScheduledCost]
    advice: list[str]
    actual: NotRequired[SpendDocument]
    measured: NotRequired[MeasuredDocument]


def render_text(
    estimate: Estimate,
    components: Sequence[ComponentRow],
    on: date,
    account_created: date | None,
    advice: Sequence[str] = (),
    scheduled: Sequence[ScheduledChange] = (),
) -> str:
    """Return the report: the headline, a table by component, one line a resource, then warnings, advice and offers."""
    sections = [
        [format_headline(estimate)],
        _render_table(estimate, components) if components else [],
        format_line_items(estimate),
        [
            *list_warnings(estimate, on),
            *(change.describe() for change in scheduled),
            *advice,
            *describe_account(estimate, on, account_created),
        ],
    ]
    return "\n\n".join("\n".join(section) for section in sections if any(section))


def _render_table(estimate: Estimate, components: Sequence[ComponentRow]) -> list[str]:
    """Return the costs by component; the column of the expected cost only if use is declared."""
    width = max([len("component"), *(len(row.component) for row in components)])
    has_usage = estimate.by_usage is not None

    def render_row(name: str, idle: float, expected: float, active: float) -> str:
        middle = f"  {expected:8.2f}" if has_usage else ""
        return f"{name:<{width}}  {idle:6.2f}{middle}  {active:6.2f}"

    return [
        f"{'component':<{width}}    idle{'  expected' if has_usage else ''}  active",
        *(render_row(row.component, row.idle, row.expected, row.active) for row in components),
        render_row("total", estimate.idle, estimate.expected, estimate.active),
    ]


def to_json(
    estimate: Estimate,
    components: Iterable[ComponentRow],
    on: date,
    account_created: date | None,
    advice: Sequence[str] = (),
    scheduled: Sequence[ScheduledChange] = (),
) -> CostDocument:
    """Return the report as data; amounts are USD per month before VAT."""
    low, expected, high = estimate.by_usage or (None, None, None)
    return {
        "region": estimate.region,
        "prices_of": estimate.as_of,
        "is_complete": not estimate.unpriced,
        "idle_usd": estimate.idle,
        "active_usd": estimate.active,
        "usage_usd": {"low": low, "expected": expected, "high": high},
        "components": [
            {
                "component": row.component,
                "idle_usd": row.idle,
                "expected_usd": row.expected,
                "active_usd": row.active,
            }
            for row in sorted(components, key=lambda row: row.component)
        ],
        "resources": [
            {"address": item.address, "idle_usd": item.idle, "active_usd": item.active, "assumptions": item.assumptions}
            for item in estimate.line_items
        ],
        "not_estimated": [{"address": address, "reason": reason} for address, reason in estimate.unpriced],
        "warnings": [*list_warnings(estimate, on), *describe_account(estimate, on, account_created)],
        "scheduled_changes": [
            {
                "on": change.on.isoformat(),
                "before_usd": change.before,
                "after_usd": change.after,
                "causes": list(change.causes),
            }
            for change in scheduled
        ],
        "advice": list(advice),
    }


def render_measured(first_day: date, last_day: date, usage: UsageByComponent) -> str:
    """Return one line for each measure, and what CloudWatch does not measure."""
    amounts = _list_amounts(usage)
    names = [f"{item['component']} {item['measure']}" for item in amounts]
    width = max(map(len, names), default=0)
    lines = [
        f"  {name:<{width}}  {item['expected']:g} ({item['low']:g} to {item['high']:g})"
        for name, item in zip(names, amounts, strict=True)
    ]
    days = f"from {first_day} to {last_day}"
    title = (
        f"Measured by CloudWatch {days}, in the format of `usage` in the manifests:"
        if lines
        else f"CloudWatch measured no usage {days}; the estimate uses the declared usage."
    )
    limits = "CloudWatch does not measure the traffic of services and buckets, or the tasks of ECS Express services."
    return "\n".join([title, *lines, limits])


def to_measured_json(first_day: date, last_day: date, usage: UsageByComponent) -> MeasuredDocument:
    """Return the measured usage as data."""
    return {"first_day": first_day.isoformat(), "last_day": last_day.isoformat(), "amounts": _list_amounts(usage)}


def _list_amounts(usage: UsageByComponent) -> list[MeasuredAmount]:
    return [
        {
            "component": component,
            "measure": measure,
            "low": round(low, 3),
            "expected": round(expected, 3),
            "high": round(high, 3),
        }
        for component, measures in sorted(usage.items())
        for measure, (low, expected, high) in sorted(measures.items())
    ]


def describe_account(estimate: Estimate, on: date, created: date | None) -> Iterator[str]:
    """Yield what AWS gives to an account created on a day, and what the stack costs after that."""
    if created is None:
        return
    offer = offer_for(created)
    state = "ended on" if offer.has_ended(on) else "ends on"
    yield f"An account created on {created} gets {offer.description}; this offer {state} {offer.ends}."
    if (
        created >= CREDITS_SINCE
        and not offer.has_ended(on)
        and (months := months_covered(MAX_CREDITS_USD, estimate.idle)) is not None
    ):
        yield f"{MAX_CREDITS_USD} USD of credits pay for {months:g} months of this stack."
    if offer.free_plan_closes is not None and on > offer.free_plan_closes:
        yield (
            f"The Free plan of this account ended on {offer.free_plan_closes}: AWS closes accounts that did not "
            "upgrade to the Paid plan."
        )
    elif offer.free_plan_closes is not None:
        yield (
            f"On the Free plan, AWS closes the account on {offer.free_plan_closes}, or when the credits are used up. "
            "Upgrade the account to the Paid plan before you go to production."
        )
    amount = f"{estimate.idle:.2f}" + (f" to {estimate.active:.2f}" if estimate.active > estimate.idle else "")
    yield f"Without free months and credits, the stack costs {amount} USD a month."


def render_deadlines(deadlines: Iterable[Deadline]) -> str:
    """Return one line a deadline: the date, the resource, the effect and the source."""
    return "\n".join(
        f"{deadline.on}  {deadline.address}: {deadline.effect} ({deadline.source})" for deadline in deadlines
    )
