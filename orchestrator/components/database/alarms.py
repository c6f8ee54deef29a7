"""The alarms of a database: one for each threshold that its manifest gives.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from msgspec import Struct

from orchestrator.components import Stack
from orchestrator.ownership_tags import claim, phrase
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

ABOVE = "GreaterThanOrEqualToThreshold"
BELOW = "LessThanOrEqualToThreshold"
BYTES_A_GB = 1024**3


class _Metric(Struct, frozen=True):
    name: str
    metric: str
    statistic: str
    comparison: str
    sentence: str
    unit: int = 1
    periods: int = 1


METRICS: Mapping[str, _Metric] = {
    "connections": _Metric("connections", "DatabaseConnections", "Maximum", ABOVE, "has {} connections or more"),
    "freeStorageGb": _Metric(
        "free-storage", "FreeStorageSpace", "Minimum", BELOW, "has {} GB of storage left or less", BYTES_A_GB
    ),
    "cpuCredits": _Metric("cpu-credits", "CPUCreditBalance", "Minimum", BELOW, "has {} CPU credits left or fewer"),
    "cpuPercent": _Metric(
        "cpu", "CPUUtilization", "Average", ABOVE, "has used {} % of its CPU for 15 minutes", periods=3
    ),
}


def alarms(component: Component, stack: Stack) -> Iterator[Resource]:
    """One resource a threshold; they go to the project's topic when there is one."""
    for key, threshold in sorted(component.spec["alarms"].items()):
        if threshold is not None:
            yield _alarm(component, stack, METRICS[key], threshold)


def _alarm(component: Component, stack: Stack, metric: _Metric, threshold: float) -> Resource:
    scope, name = stack.scope, f"{component.name}-{metric.name}"
    actions = [Ref("sns_topic.alerts", "arn")] if stack.project.spec["alerts"]["email"] else []
    sentence = f"{component.handle} {metric.sentence.format(f'{threshold:.15g}')}."
    spec: Mapping[str, Value] = {
        "description": f"{sentence} [{phrase(scope, component.handle)}]",
        "namespace": "AWS/RDS",
        "metric": metric.metric,
        "dimensions": {"DBInstanceIdentifier": f"{scope.prefix}-{component.name}"},
        "statistic": metric.statistic,
        "evaluation_periods": metric.periods,
        "threshold": threshold * metric.unit,
        "comparison": metric.comparison,
        "actions": actions,
        "tags": claim(scope, component.handle),
    }
    physical = f"{scope.prefix}-{name}"
    where, adopt = component.where, component.adopt
    return Resource("cloudwatch_alarm", name, physical, spec, component.handle, where, adopt=adopt)
