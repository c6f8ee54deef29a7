"""Compare what AWS has billed, by AWS service and month, with the estimate.  Pure.

Source of the form: Cost Explorer API reference, GetCostAndUsage, grouped by service and record type.
"""

from __future__ import annotations

import calendar
from collections.abc import Mapping
from datetime import date
from typing import Any, Final

from msgspec import Struct

from orchestrator.cost.estimate import Estimate

CREDIT_RECORDS: Final = frozenset({"Credit", "Refund"})
"""Record types that reduce the bill; what things cost is shown without them."""

SERVICE_NAMES: Final[Mapping[str, str]] = {
    "apprunner_service": "AWS App Runner",
    "cloudfront_requests": "Amazon CloudFront",
    "cloudfront_traffic": "Amazon CloudFront",
    "cloudwatch_alarm": "AmazonCloudWatch",
    "cloudwatch_logs": "AmazonCloudWatch",
    "ecr_repository": "Amazon EC2 Container Registry (ECR)",
    "ecs_express_service": "Amazon Elastic Container Service",
    "load_balancer": "Amazon Elastic Load Balancing",
    "rds_instance": "Amazon Relational Database Service",
    "s3_bucket": "Amazon Simple Storage Service",
    "secretsmanager_secret": "AWS Secrets Manager",
}
"""Names of AWS services in bills, by the types of addresses in an estimate."""


class MonthSpend(Struct, frozen=True):
    """What one month cost so far, by AWS service, in USD before credits; ``last_day`` is the last day it covers."""

    first_day: date
    last_day: date
    by_service: Mapping[str, float]
    credits: float = 0.0

    @property
    def total(self) -> float:
        """Cost of all services, before credits."""
        return round(sum(self.by_service.values()), 2)

    @property
    def projected(self) -> float:
        """Cost of the whole month if its other days cost as much as those so far."""
        days_so_far = (self.last_day - self.first_day).days + 1
        days_in_month = calendar.monthrange(self.first_day.year, self.first_day.month)[1]
        return round(self.total / days_so_far * days_in_month, 2)


class ServiceComparison(Struct, frozen=True):
    """One AWS service: its cost last month, this month so far, and as estimated for a month; None: not billed."""

    service: str
    last_month: float | None
    this_month: float | None
    estimated: float | None


def request_period(today: date) -> tuple[date, date]:
    """Return the first day of last month, and today as the end, which the period excludes."""
    first_day = today.replace(day=1)
    year, month = (first_day.year - 1, 12) if first_day.month == 1 else (first_day.year, first_day.month - 1)
    return date(year, month, 1), today


def parse_months(results: list[Mapping[str, Any]]) -> tuple[MonthSpend, ...]:
    """Return the months of ``ResultsByTime``, oldest first; one month may be split over several pages."""
    months: dict[date, tuple[date, dict[str, float], list[float]]] = {}
    for result in results:
        period = result["TimePeriod"]
        first_day, end = date.fromisoformat(period["Start"]), date.fromisoformat(period["End"])
        last_day = date.fromordinal(end.toordinal() - 1)
        _, by_service, reductions = months.setdefault(first_day, (last_day, {}, []))
        for group in result.get("Groups", ()):
            service, record_type = group["Keys"]
            amount = float(group["Metrics"]["UnblendedCost"]["Amount"])
            if record_type in CREDIT_RECORDS:
                reductions.append(amount)
            else:
                by_service[service] = by_service.get(service, 0.0) + amount
    return tuple(
        MonthSpend(first_day, last_day, {name: round(usd, 4) for name, usd in by_service.items()}, round(sum(cuts), 2))
        for first_day, (last_day, by_service, cuts) in sorted(months.items())
    )


def compare_services(
    last_month: MonthSpend | None, this_month: MonthSpend | None, estimate: Estimate
) -> tuple[ServiceComparison, ...]:
    """Return each AWS service that is billed or estimated, the most expensive first.  Cents that round to 0 are out."""
    estimated: dict[str, float] = {}
    for item in estimate.line_items:
        name = SERVICE_NAMES.get(item.address.partition(".")[0], "other")
        estimated[name] = estimated.get(name, 0.0) + item.levels[1]
    before = last_month.by_service if last_month else {}
    current = this_month.by_service if this_month else {}
    rows = [
        ServiceComparison(name, before.get(name), current.get(name), estimated.get(name))
        for name in {**before, **current, **estimated}
    ]
    visible = [row for row in rows if max(map(_amount, (row.last_month, row.this_month, row.estimated))) >= 0.005]
    return tuple(sorted(visible, key=lambda row: (-max(_amount(row.last_month), _amount(row.estimated)), row.service)))


def _amount(value: float | None) -> float:
    return value or 0.0
