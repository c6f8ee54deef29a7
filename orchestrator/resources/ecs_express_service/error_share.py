"""Read which share of a service's responses were errors yesterday: ECS rolls a deployment back above one percent.

API: CloudWatch GetMetricData on the load balancer's metrics (Elastic Load Balancing user guide, "CloudWatch metrics for
your Application Load Balancer"); the alarm that ECS makes for an Express service counts 4xx and 5xx responses.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from msgspec import Struct

from orchestrator.aws.errors import AwsError
from orchestrator.resources import AwsReader
from orchestrator.values import Value, is_known

MAX_ERROR_PERCENT = 1.0
"""ECS rolls back above this share of responses with a 4xx or 5xx status (ECS developer guide, Express Mode)."""
_NAMESPACE = "AWS/ApplicationELB"
_METRICS = {"requests": "RequestCount", "client": "HTTPCode_Target_4XX_Count", "server": "HTTPCode_Target_5XX_Count"}
_DAY_SECONDS = 86400


class ErrorShare(Struct, frozen=True):
    """What a load balancer counted for a service on one day (YYYY-MM-DD, UTC)."""

    day: str
    requests: int
    errors: int

    @property
    def percent(self) -> float:
        """The share of responses with a 4xx or 5xx status, 0..100."""
        return 100 * self.errors / self.requests

    def describe(self) -> str:
        """Return what the share means for a deployment, in one sentence or two."""
        counted = f"{self.percent:.1f} % of {self.requests} responses on {self.day} had a 4xx or 5xx status"
        if self.percent <= MAX_ERROR_PERCENT:
            return f"{counted}. ECS rolls a deployment back above {MAX_ERROR_PERCENT:g} %."
        return (
            f"{counted}: above {MAX_ERROR_PERCENT:g} %, ECS rolls a deployment back even if the new version works. "
            "To prevent that, answer expected requests, such as those for missing files, with another status, or "
            "deploy when there is less traffic."
        )


def read_error_share(aws: AwsReader, revisions: Mapping[str, Any], now: datetime) -> ErrorShare | None:
    """Return yesterday's share from the load balancer in a DescribeServiceRevisions response.

    None if there is no load balancer, there were no requests, or the role may not read metrics: none of this stops a
    plan.  Raises AwsError if CloudWatch does not answer.
    """
    dimensions = _list_dimensions(revisions)
    if not dimensions:
        return None
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    queries = [
        {
            "Id": f"{key}{number}",
            "MetricStat": {
                "Metric": {"Namespace": _NAMESPACE, "MetricName": metric, "Dimensions": target},
                "Period": _DAY_SECONDS,
                "Stat": "Sum",
            },
        }
        for number, target in enumerate(dimensions)
        for key, metric in _METRICS.items()
    ]
    start, end = (midnight - timedelta(days=1)).isoformat(), midnight.isoformat()
    try:
        results = aws.all(
            "cloudwatch",
            "get_metric_data",
            "MetricDataResults",
            MetricDataQueries=queries,
            StartTime=start,
            EndTime=end,
        )
    except AwsError as error:
        if error.is_transient:
            raise
        return None
    counts = {key: _sum_values(results, key) for key in _METRICS}
    if not counts["requests"]:
        return None
    errors = counts["client"] + counts["server"]
    return ErrorShare((midnight - timedelta(days=1)).strftime("%Y-%m-%d"), counts["requests"], errors)


def may_deploy(spec: Mapping[str, Value], live_spec: Mapping[str, Value]) -> bool:
    """Return whether a plan for ``spec`` may deploy: a known value differs, or the image is not known yet."""
    return not is_known(spec.get("image")) or any(
        is_known(value) and value != live_spec.get(key)
        for key, value in spec.items()
        if key in live_spec and key not in ("settled", "tags", "log_retention_days")
    )


def _list_dimensions(revisions: Mapping[str, Any]) -> list[list[dict[str, str]]]:
    """Return the dimensions of each target group: environments share a load balancer, a service has its own groups."""
    described = revisions.get("serviceRevisions") or [{}]
    paths = (described[0].get("ecsManagedResources") or {}).get("ingressPaths") or [{}]
    load_balancer = str((paths[0].get("loadBalancer") or {}).get("arn", "")).rpartition(":loadbalancer/")[2]
    target_groups = [str(item.get("arn", "")).rpartition(":")[2] for item in paths[0].get("targetGroups") or ()]
    if not load_balancer:
        return []
    return [
        [{"Name": "LoadBalancer", "Value": load_balancer}, {"Name": "TargetGroup", "Value": name}]
        for name in target_groups
        if name
    ]


def _sum_values(results: list[Any], key: str) -> int:
    return int(
        sum(sum(result.get("Values", ())) for result in results if str(result["Id"]).rstrip("0123456789") == key)
    )
