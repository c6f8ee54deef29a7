"""Who is told when a service answers with errors.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.components import Stack
from orchestrator.components.containerservice.builders import make
from orchestrator.ownership_tags import phrase
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

MINUTES = 5


def server_errors(
    component: Component, stack: Stack, metric: Mapping[str, Value], where: str = ""
) -> Iterator[Resource]:
    """The alarm on 5xx answers, which ``metric`` counts (namespace, metric, dimensions); none where no limit is set.

    ``where``: what else is counted, in words.
    """
    limit = component.spec["alarms"].get("http5xx")
    if limit is None:
        return
    mailed = (stack.project.spec.get("alerts") or {}).get("email")
    sentence = f"{component.handle}{where} answered {limit} requests or more with a 5xx status in {MINUTES} minutes."
    spec = {
        "description": f"{sentence} [{phrase(stack.scope, component.handle)}]",
        **metric,
        "statistic": "Sum",
        "period": MINUTES * 60,
        "threshold": limit,
        "missing": "notBreaching",
        "actions": [Ref("sns_topic.alerts", "arn")] if mailed else [],
    }
    physical = f"{stack.scope.prefix}-{component.name}-5xx"
    yield make(component, stack, "cloudwatch_alarm", physical, spec, name=f"{component.name}-5xx")
