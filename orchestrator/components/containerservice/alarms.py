"""Who is told when a service answers with errors.  Pure."""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.components import Stack
from orchestrator.model import Component
from orchestrator.tags import phrase
from orchestrator.values import Ref, Value

MINUTES = 5


def server_errors(component: Component, stack: Stack, service: str) -> Mapping[str, Value] | None:
    """The alarm on 5xx answers of ``service`` (App Runner's name for it); None where no limit is set."""
    limit = component.spec["alarms"].get("http5xx")
    if limit is None:
        return None
    mailed = (stack.project.spec.get("alerts") or {}).get("email")
    sentence = f"{component.handle} answered {limit} requests or more with a 5xx status in {MINUTES} minutes."
    return {
        "description": f"{sentence} [{phrase(stack.scope, component.handle)}]",
        "namespace": "AWS/AppRunner",
        "metric": "5xxStatusResponses",
        "dimensions": {"ServiceName": service, "ServiceID": Ref(f"apprunner_service.{component.name}", "id")},
        "statistic": "Sum",
        "period": MINUTES * 60,
        "threshold": limit,
        "missing": "notBreaching",
        "actions": [Ref("sns_topic.alerts", "arn")] if mailed else [],
    }
