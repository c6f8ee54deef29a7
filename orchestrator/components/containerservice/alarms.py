"""Build the alarm on server errors of a ContainerService.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.components import Stack
from orchestrator.components.containerservice.builders import build_resource
from orchestrator.ownership_tags import format_ownership_comment
from orchestrator.quantities import format_count
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

PERIOD_MINUTES = 5


def build_server_error_alarm(
    component: Component, stack: Stack, metric: Mapping[str, Value], scope_note: str = ""
) -> Iterator[Resource]:
    """Yield the alarm on 5xx responses, which ``metric`` counts (namespace, metric, dimensions), if a limit is set.

    ``scope_note`` describes what else the metric counts.
    """
    limit = component.spec["alarms"].get("http5xx")
    if limit is None:
        return
    alert_emails = (stack.project.spec.get("alerts") or {}).get("email")
    description = (
        f"{component.handle}{scope_note} answered {format_count(limit, 'request')} "
        f"or more with a 5xx status in {PERIOD_MINUTES} minutes."
    )
    spec = {
        "description": f"{description} [{format_ownership_comment(stack.scope, component.handle)}]",
        **metric,
        "statistic": "Sum",
        "period": PERIOD_MINUTES * 60,
        "threshold": limit,
        "missing": "notBreaching",
        "actions": [Ref("sns_topic.alerts", "arn")] if alert_emails else [],
    }
    physical = f"{stack.scope.name_of(component)}-5xx"
    yield build_resource(component, stack, "cloudwatch_alarm", physical, spec, name=f"{component.name}-5xx")
