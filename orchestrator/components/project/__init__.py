"""Expand the Project into the network that databases and services share and the topic for alarms.  Pure."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from datetime import date

from orchestrator.components import Stack
from orchestrator.components.project import awake_schedule
from orchestrator.ownership_tags import build_ownership_tags
from orchestrator.values import Ref, Value
from orchestrator.vocabulary import TAG_SHARED, Component, Resource

TOPIC_PUBLISHERS = ["budgets.amazonaws.com", "cloudwatch.amazonaws.com"]
ALARM_PRICE_NOTE = "about 0.10 USD per month each"

Siblings = Mapping[str, Component]
Finding = tuple[tuple[str | int, ...], str, str | None]


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Return the network and its S3 endpoint where they are needed, and the topic if there are alert addresses."""
    resources: list[Resource] = []
    database_clients = [other for other in stack.components.values() if _uses_database(other)]
    if database_clients or any(_is_in_network(other) for other in stack.components.values()):
        resources.append(_build_network(component))
    if database_clients:
        resources.append(_build_s3_endpoint(component, stack))
    if component.spec["alerts"]["email"]:
        resources.append(_build_alert_topic(component, stack))
    return resources


def notes(component: Component, stack: Stack) -> Iterator[str]:
    """Yield a note if alarms have no address to notify."""
    alarmed_handles = [other.handle for other in stack.components.values() if _count_alarms(other)]
    if alarmed_handles and not component.spec["alerts"]["email"]:
        handles = ", ".join(sorted(alarmed_handles))
        yield f"The alarms of {handles} send no notifications: the Project has no `alerts.email`."


def check(component: Component, siblings: Siblings) -> Iterator[Finding]:
    """Yield problems of the schedule and of the account's day, and one if there are too many alarms."""
    if "schedule" in component.spec:
        yield from awake_schedule.check(component.spec["schedule"])
    if "accountCreated" in component.spec:
        yield from _check_day(str(component.spec["accountCreated"]))
    count = sum(_count_alarms(sibling) for sibling in siblings.values())
    max_alarms = component.spec["alerts"]["maxAlarms"]
    if count > max_alarms:
        message = f"the components have {count} alarms in total, but spec.alerts.maxAlarms allows {max_alarms}"
        hint = f"remove alarms, or set `maxAlarms: {count}` (10 are free, more cost {ALARM_PRICE_NOTE})"
        yield ("spec", "alerts", "maxAlarms"), message, hint


def _check_day(text: str) -> Iterator[Finding]:
    try:
        date.fromisoformat(text)
    except ValueError:
        hint = "write the date as YYYY-MM-DD, e.g. 2026-03-01"
        yield ("spec", "accountCreated"), f"spec.accountCreated is {text}, which is not a valid date", hint


def _uses_database(component: Component) -> bool:
    return component.kind == "ContainerService" and any(
        str(handle).startswith("database.") for handle in component.spec.get("access", ())
    )


def _is_in_network(component: Component) -> bool:
    return component.kind == "Database" or component.spec.get("runtime") == "ecs-express"


def _count_alarms(component: Component) -> int:
    thresholds = component.spec.get("alarms")
    return len(thresholds) if isinstance(thresholds, Mapping) else 0


def _build_network(component: Component) -> Resource:
    network = component.spec["network"]
    spec = {"vpc": network["vpc"], **({"subnets": network["subnets"]} if "subnets" in network else {})}
    return Resource("ec2_vpc", "network", network["vpc"], spec, component.handle, component.where)


def _build_s3_endpoint(component: Component, stack: Stack) -> Resource:
    spec = {
        "network": component.spec["network"]["vpc"],
        "vpc": Ref("ec2_vpc.network", "id"),
        "route_tables": Ref("ec2_vpc.network", "route_tables"),
        "tags": {**build_ownership_tags(stack.scope, component.handle), TAG_SHARED: "true"},
    }
    physical = f"{stack.scope.name_prefix}-s3"
    return Resource("ec2_vpc_endpoint", "s3", physical, spec, component.handle, component.where)


def _build_alert_topic(component: Component, stack: Stack) -> Resource:
    scope = stack.scope
    name = f"{scope.name_prefix}-alerts"
    statement: Mapping[str, Value] = {
        "Sid": "Publish",
        "Effect": "Allow",
        "Principal": {"Service": TOPIC_PUBLISHERS},
        "Action": "sns:Publish",
        "Resource": f"arn:aws:sns:{scope.region}:{scope.account}:{name}",
        "Condition": {"StringEquals": {"aws:SourceAccount": scope.account}},
    }
    spec = {
        "display_name": scope.name_prefix,
        "policy": {"Version": "2012-10-17", "Statement": [statement]},
        "emails": component.spec["alerts"]["email"],
        "tags": build_ownership_tags(scope, component.handle),
    }
    where, adopt = component.where, component.adopt
    return Resource("sns_topic", "alerts", name, spec, component.handle, where, adopt=adopt)
