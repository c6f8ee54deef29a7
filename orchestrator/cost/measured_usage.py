"""Turn what CloudWatch measured in 30 days into the measures of ``usage:``, in three levels.  Pure.

Sources: the pages about CloudWatch metrics in the user guides of S3 (BucketSizeBytes, once a day), CloudWatch Logs
(IncomingBytes), CloudFront (Requests, BytesDownloaded; always in us-east-1) and App Runner (ActiveInstances, the
instances that process requests, once a minute).
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from msgspec import Struct

from orchestrator.cost.declared_usage import Amounts, UsageByComponent
from orchestrator.vocabulary import LiveResource, Resource

DAYS = 30
"""Days that are read, and days of the month for which the amounts are given."""
CLOUDFRONT_REGION = "us-east-1"
_DAY_SECONDS = 86_400
_GIB = 1024.0**3
_HOURS = "activeHoursPerDay"
_LEVELS = frozenset({"storageGb", _HOURS})
"""Measures that a day has and a month does not add up."""


class MetricQuery(Struct, frozen=True):
    """A metric of one component: one value a day, of which ``unit_size`` make one unit of ``measure``."""

    component: str
    measure: str
    namespace: str
    metric: str
    dimensions: tuple[tuple[str, str], ...]
    unit_size: float
    statistic: str = "Sum"
    region: str = ""


def list_queries(resources: Iterable[Resource], live: Mapping[str, LiveResource]) -> Iterator[MetricQuery]:
    """Yield the metrics of ``resources`` that exist; ``live`` are the resources in AWS, by address."""
    for resource in resources:
        existing = live.get(resource.address)
        if existing is None:
            continue
        if resource.type == "s3_bucket":
            dimensions = (("BucketName", resource.physical), ("StorageType", "StandardStorage"))
            yield MetricQuery(resource.component, "storageGb", "AWS/S3", "BucketSizeBytes", dimensions, _GIB, "Average")
        elif resource.type == "cloudfront_distribution":
            yield from _list_distribution_queries(resource, str(existing.outputs["id"]))
        elif resource.type == "apprunner_service":
            yield from _list_service_queries(resource, str(existing.outputs["id"]))


def _list_distribution_queries(distribution: Resource, distribution_id: str) -> Iterator[MetricQuery]:
    dimensions = (("DistributionId", distribution_id), ("Region", "Global"))
    for measure, metric, unit_size in (
        ("trafficGb", "BytesDownloaded", _GIB),
        ("requestsMillion", "Requests", 1_000_000.0),
    ):
        yield MetricQuery(
            distribution.component,
            measure,
            "AWS/CloudFront",
            metric,
            dimensions,
            unit_size,
            region=CLOUDFRONT_REGION,
        )


def _list_service_queries(service: Resource, service_id: str) -> Iterator[MetricQuery]:
    dimensions = (("ServiceName", service.physical), ("ServiceID", service_id))
    yield MetricQuery(service.component, _HOURS, "AWS/AppRunner", "ActiveInstances", dimensions, 60.0)
    for stream in ("application", "service"):
        group = (("LogGroupName", f"/aws/apprunner/{service.physical}/{service_id}/{stream}"),)
        yield MetricQuery(service.component, "logsGb", "AWS/Logs", "IncomingBytes", group, _GIB)


def build_request(queries: Sequence[MetricQuery], midnight: datetime) -> dict[str, Any]:
    """Return the parameters of GetMetricData for the whole days before ``midnight`` (UTC)."""
    return {
        "MetricDataQueries": [
            {
                "Id": f"q{number}",
                "MetricStat": {
                    "Metric": {
                        "Namespace": query.namespace,
                        "MetricName": query.metric,
                        "Dimensions": [{"Name": name, "Value": value} for name, value in query.dimensions],
                    },
                    "Period": _DAY_SECONDS,
                    "Stat": query.statistic,
                },
            }
            for number, query in enumerate(queries)
        ],
        "StartTime": (midnight - timedelta(days=DAYS)).isoformat(),
        "EndTime": midnight.isoformat(),
    }


def collect(
    queries: Sequence[MetricQuery], results: Iterable[Mapping[str, Any]], midnight: datetime
) -> UsageByComponent:
    """Return the measured use by component from the results of GetMetricData; without data there is no measure."""
    by_day: dict[tuple[str, str], dict[int, float]] = {}
    for result in results:
        query = queries[int(str(result["Id"]).removeprefix("q"))]
        days = by_day.setdefault((query.component, query.measure), {})
        for timestamp, value in zip(result.get("Timestamps", ()), result.get("Values", ()), strict=True):
            days_ago = (midnight - timestamp).days
            days[days_ago] = days.get(days_ago, 0.0) + value / query.unit_size
    usage: dict[str, dict[str, Amounts]] = {}
    for (component, measure), days in by_day.items():
        if days:
            usage.setdefault(component, {}).update(_to_measures(measure, _summarize(days, measure)))
    return usage


def _summarize(days: Mapping[int, float], measure: str) -> Amounts:
    """Return lowest, mean and highest day since the first with data; a day without data had no use.

    S3 may be late with the size of a bucket, so that its missing days say nothing.
    """
    values = list(days.values()) if measure == "storageGb" else [days.get(day, 0.0) for day in range(1, max(days) + 1)]
    scale = 1 if measure in _LEVELS else DAYS
    return min(values) * scale, sum(values) / len(values) * scale, max(values) * scale


def _to_measures(measure: str, amounts: Amounts) -> dict[str, Amounts]:
    """Return the measures for amounts; hours of all instances of a service become hours a day and instances."""
    if measure != _HOURS:
        return {measure: amounts}
    low, expected, high = amounts
    return {
        _HOURS: (min(24.0, low), min(24.0, expected), min(24.0, high)),
        "instances": (max(1.0, low / 24), max(1.0, expected / 24), max(1.0, high / 24)),
    }


def merge(declared: UsageByComponent, measured: UsageByComponent) -> UsageByComponent:
    """Return both, with what was measured in place of what was declared."""
    handles = {**declared, **measured}
    return {handle: {**declared.get(handle, {}), **measured.get(handle, {})} for handle in handles}
