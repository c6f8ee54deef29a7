"""Render what AWS has billed beside the estimate.  Pure; decides nothing."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from datetime import date, datetime
from typing import TypedDict

from orchestrator.cost.billed_months import MonthSpend, ServiceComparison, compare_services
from orchestrator.cost.estimate import Estimate
from orchestrator.quantities import format_count


class ServiceSpend(TypedDict):
    """Billed cost of one AWS service and its share of the estimate, in USD; null if AWS returns no amount."""

    service: str
    last_month_usd: float | None
    this_month_usd: float | None
    estimated_usd: float | None


class SpendDocument(TypedDict):
    """Amounts that AWS billed the account, in USD before credits.  ``requests`` to Cost Explorer were billed for it."""

    read_at: str
    requests: int
    last_month_usd: float | None
    this_month_usd: float | None
    this_month_projected_usd: float | None
    services: list[ServiceSpend]


def split_months(months: Sequence[MonthSpend], today: date) -> tuple[MonthSpend | None, MonthSpend | None]:
    """Return last month and this month, None where AWS has no figures."""
    current = next((month for month in months if month.first_day == today.replace(day=1)), None)
    earlier = [month for month in months if month.first_day < today.replace(day=1)]
    return (earlier[-1] if earlier else None), current


def render_text(months: Sequence[MonthSpend], estimate: Estimate, read_at: datetime, requests: int, usd: float) -> str:
    """Return the spend of the account by AWS service beside the estimate of this stack.

    ``requests`` is how many requests were billed for it, each with ``usd``.
    """
    last_month, this_month = split_months(months, read_at.date())
    rows = compare_services(last_month, this_month, estimate)
    width = max([len("AWS service"), *(len(row.service) for row in rows)])
    table = [
        f"{'AWS service':<{width}}  last month  this month  estimated",
        *(_render_row(row, width) for row in rows),
        _render_row(_build_total(last_month, this_month, estimate), width),
    ]
    return "\n".join(
        [*_describe_scope(last_month, this_month), "", *table, "", _describe_source(read_at, requests, usd)]
    )


def to_json(months: Sequence[MonthSpend], estimate: Estimate, read_at: datetime, requests: int) -> SpendDocument:
    """Return the spend as data; amounts are USD before credits."""
    last_month, this_month = split_months(months, read_at.date())
    return {
        "read_at": read_at.isoformat(),
        "requests": requests,
        "last_month_usd": last_month.total if last_month else None,
        "this_month_usd": this_month.total if this_month else None,
        "this_month_projected_usd": this_month.projected if this_month else None,
        "services": [
            {
                "service": row.service,
                "last_month_usd": row.last_month,
                "this_month_usd": row.this_month,
                "estimated_usd": row.estimated,
            }
            for row in compare_services(last_month, this_month, estimate)
        ],
    }


def _build_total(last_month: MonthSpend | None, this_month: MonthSpend | None, estimate: Estimate) -> ServiceComparison:
    return ServiceComparison(
        "total",
        last_month.total if last_month else None,
        this_month.total if this_month else None,
        estimate.expected,
    )


def _render_row(row: ServiceComparison, width: int) -> str:
    amounts = (row.last_month, row.this_month, row.estimated)
    columns = ("-" if amount is None else f"{amount:.2f}" for amount in amounts)
    return f"{row.service:<{width}}  {next(columns):>10}  {next(columns):>10}  {next(columns):>9}"


def _describe_scope(last_month: MonthSpend | None, this_month: MonthSpend | None) -> Iterator[str]:
    yield (
        "Billed amounts are for the whole account, in USD before credits. The estimate is for one month of this stack, "
        "before VAT."
    )
    if this_month is not None:
        yield (
            f"This month until {this_month.last_day}: {this_month.total:.2f} USD; forecast for the "
            f"whole month: {this_month.projected:.2f} USD."
        )
    for month in filter(None, (last_month, this_month)):
        if month.credits:
            yield f"Credits and refunds in {month.first_day:%Y-%m}: {month.credits:.2f} USD."


def _describe_source(read_at: datetime, requests: int, usd: float) -> str:
    if not requests:
        return f"Read from Cost Explorer at {read_at:%Y-%m-%d %H:%M} UTC and cached for a day; nothing was charged."
    count = format_count(requests, "request")
    return f"Sent {count} to Cost Explorer, for {requests * usd:.2f} USD; the result is cached for a day."
