"""The project as a whole: the network that databases and services share, and the topic that carries alarms.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from orchestrator.components import Stack
from orchestrator.ownership_tags import claim
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import Component, Resource

PUBLISHERS = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
ALARM_PRICE = "about 0.10 USD a month each"

Siblings = Mapping[str, Component]
Finding = tuple[tuple[str | int, ...], str, str | None]


def expand(component: Component, stack: Stack) -> list[Resource]:
    """The network where it is needed, the way out of it to S3, and the topic where somebody listens."""
    resources: list[Resource] = []
    inside = [one for one in stack.components.values() if _reaches_inside(one)]
    if inside or any(_is_in_network(one) for one in stack.components.values()):
        resources.append(_network(component))
    if inside:
        resources.append(_endpoint(component, stack))
    if component.spec["alerts"]["email"]:
        resources.append(_topic(component, stack))
    return resources


def notes(component: Component, stack: Stack) -> Iterator[str]:
    """Whom nobody can tell that something is wrong."""
    alarmed = [one.handle for one in stack.components.values() if _alarms(one)]
    if alarmed and not component.spec["alerts"]["email"]:
        yield f"Nobody is told of the alarms of {', '.join(sorted(alarmed))}: the Project has no `alerts.email`."


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """More alarms than are free, or than the Project allows."""
    count = sum(_alarms(one) for one in siblings.values())
    allowed = component.spec["alerts"]["maxAlarms"]
    if count > allowed:
        sentence = f"the components have {count} alarms together, spec.alerts.maxAlarms allows {allowed}"
        yield ("spec", "alerts", "maxAlarms"), sentence, f"10 are free, more cost {ALARM_PRICE}: maxAlarms: {count}"


def _reaches_inside(component: Component) -> bool:
    return component.kind == "ContainerService" and any(
        str(handle).startswith("database.") for handle in component.spec.get("access", ())
    )


def _is_in_network(component: Component) -> bool:
    return component.kind == "Database" or component.spec.get("runtime") == "ecs-express"


def _alarms(component: Component) -> int:
    thresholds = component.spec.get("alarms")
    return len(thresholds) if isinstance(thresholds, Mapping) else 0


def _network(component: Component) -> Resource:
    wanted = component.spec["network"]
    spec = {"vpc": wanted["vpc"], **({"subnets": wanted["subnets"]} if "subnets" in wanted else {})}
    return Resource("ec2_vpc", "network", wanted["vpc"], spec, component.handle, component.where)


def _endpoint(component: Component, stack: Stack) -> Resource:
    spec = {
        "network": component.spec["network"]["vpc"],
        "vpc": Ref("ec2_vpc.network", "id"),
        "route_tables": Ref("ec2_vpc.network", "route_tables"),
        "tags": claim(stack.scope, component.handle),
    }
    physical = f"{stack.scope.prefix}-s3"
    return Resource("ec2_vpc_endpoint", "s3", physical, spec, component.handle, component.where)


def _topic(component: Component, stack: Stack) -> Resource:
    scope = stack.scope
    name = f"{scope.prefix}-alerts"
    statement: Mapping[str, Value] = {
        "Sid": "Publish",
        "Effect": "Allow",
        "Principal": {"Service": PUBLISHERS},
        "Action": "sns:Publish",
        "Resource": f"arn:aws:sns:{scope.region}:{scope.account}:{name}",
        "Condition": {"StringEquals": {"aws:SourceAccount": scope.account}},
    }
    spec = {
        "display_name": scope.prefix,
        "policy": {"Version": "2012-10-17", "Statement": [statement]},
        "emails": component.spec["alerts"]["email"],
        "tags": claim(scope, component.handle),
    }
    where, adopt = component.where, component.adopt
    return Resource("sns_topic", "alerts", name, spec, component.handle, where, adopt=adopt)
