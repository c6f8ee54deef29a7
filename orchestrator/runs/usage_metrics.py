"""Read from CloudWatch how much a stack was used in the last 30 days, with one request for each region.

API: CloudWatch GetMetricData, at most 500 metrics a request.  AWS bills 0.01 USD for 1,000 metrics.
"""

from __future__ import annotations

from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from orchestrator.aws.errors import AwsError
from orchestrator.cost import measured_usage
from orchestrator.cost.declared_usage import UsageByComponent
from orchestrator.problems import Problems
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients


class MeasuredUsage(Struct, frozen=True):
    """What CloudWatch measured in whole days, by component and measure."""

    first_day: date
    last_day: date
    usage: UsageByComponent


def read(settings: Settings, now: datetime | None = None) -> MeasuredUsage:
    """Return the measured use of the environment.  Raises Problems if AWS or its metrics cannot be read."""
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline

    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    planned = pipeline.plan(desired, clients=clients, preserves_power=True)
    midnight = (now or datetime.now(UTC)).astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    queries = list(measured_usage.list_queries(desired.resources, planned.live))
    usage: dict[str, Any] = {}
    for region in sorted({query.region or planned.scope.region for query in queries}):
        in_region = [query for query in queries if (query.region or planned.scope.region) == region]
        results = _request(clients, in_region, midnight, region)
        usage = dict(measured_usage.merge(usage, measured_usage.collect(in_region, results, midnight)))
    first_day = (midnight - timedelta(days=measured_usage.DAYS)).date()
    return MeasuredUsage(first_day, (midnight - timedelta(days=1)).date(), usage)


def _request(
    clients: Clients, queries: list[measured_usage.MetricQuery], midnight: datetime, region: str
) -> list[dict[str, Any]]:
    from orchestrator.aws import Reader

    request = measured_usage.build_request(queries, midnight)
    try:
        return Reader(clients).all("cloudwatch", "get_metric_data", "MetricDataResults", region=region, **request)
    except AwsError as error:
        raise Problems.from_message(
            f"cannot read what CloudWatch measured in {region}: {error}",
            hint="grant `cloudwatch:GetMetricData` (for the workflows' roles, run `orchestrator bootstrap github` "
            "again), or omit --measured",
        ) from None
