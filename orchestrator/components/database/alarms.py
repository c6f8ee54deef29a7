"""Build the CloudWatch alarms of a Database: one for each threshold that its manifest sets.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from orchestrator.components import Stack
from orchestrator.ownership_tags import build_ownership_tags, format_ownership_comment
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

GREATER_OR_EQUAL = "GreaterThanOrEqualToThreshold"
LESS_OR_EQUAL = "LessThanOrEqualToThreshold"
BYTES_PER_GB = 1024**3


class _AlarmMetric(Struct, frozen=True):
    name: str
    metric: str
    statistic: str
    comparison: str
    description: str
    scale: int = 1
    periods: int = 1


ALARM_METRICS: Mapping[str, _AlarmMetric] = {
    "connections": _AlarmMetric(
        "connections", "DatabaseConnections", "Maximum", GREATER_OR_EQUAL, "has {} connections or more"
    ),
    "freeStorageGb": _AlarmMetric(
        "free-storage", "FreeStorageSpace", "Minimum", LESS_OR_EQUAL, "has {} GB of storage or less left", BYTES_PER_GB
    ),
    "cpuCredits": _AlarmMetric(
        "cpu-credits", "CPUCreditBalance", "Minimum", LESS_OR_EQUAL, "has {} or fewer CPU credits left"
    ),
    "cpuPercent": _AlarmMetric(
        "cpu", "CPUUtilization", "Average", GREATER_OR_EQUAL, "has used {} % of its CPU for 15 minutes", periods=3
    ),
}


def build_alarms(component: Component, stack: Stack) -> Iterator[Resource]:
    """Yield one alarm per threshold; alarms notify the project's topic if there is one."""
    for key, threshold in sorted(component.spec["alarms"].items()):
        if threshold is not None:
            yield _build_alarm(component, stack, ALARM_METRICS[key], threshold)


def _build_alarm(component: Component, stack: Stack, metric: _AlarmMetric, threshold: float) -> Resource:
    scope, name = stack.scope, f"{component.name}-{metric.name}"
    actions = [Ref("sns_topic.alerts", "arn")] if stack.project.spec["alerts"]["email"] else []
    description = f"{component.handle} {metric.description.format(f'{threshold:.15g}')}."
    spec: Mapping[str, Value] = {
        "description": f"{description} [{format_ownership_comment(scope, component.handle)}]",
        "namespace": "AWS/RDS",
        "metric": metric.metric,
        "dimensions": {"DBInstanceIdentifier": stack.get_export(component.handle, "name")},
        "statistic": metric.statistic,
        "evaluation_periods": metric.periods,
        "threshold": threshold * metric.scale,
        "comparison": metric.comparison,
        "actions": actions,
        "tags": build_ownership_tags(scope, component.handle),
    }
    physical = f"{scope.name_of(component)}-{metric.name}"
    where, adopt = component.where, component.adopt
    return Resource("cloudwatch_alarm", name, physical, spec, component.handle, where, adopt=adopt)
