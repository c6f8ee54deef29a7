"""Metric alarms.  API: CloudWatch PutMetricAlarm, DescribeAlarms, DeleteAlarms, TagResource.

One listing by the environment's prefix serves every alarm.  Alarms' tags would cost a call each, so whose an alarm is
stands at the end of its description too (``... [orchestrator shop/prod database.main]``), and that is what is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import Marks, pairs, read_phrase
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps
from orchestrator.values import Value, WriteOnly, canonical
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"sns_topic"})
ARN = re.compile(r"arn:aws:cloudwatch:[^:]+:\d+:alarm:(?P<name>.+)")

DEFAULTS: Mapping[str, Value] = {
    "dimensions": {},
    "statistic": "Average",
    "period": 300,
    "evaluation_periods": 1,
    "comparison": "GreaterThanOrEqualToThreshold",
    "missing": "missing",
    "actions": [],
    "ok_actions": [],
}
MEMBERS = {
    "namespace": "Namespace",
    "metric": "MetricName",
    "statistic": "Statistic",
    "period": "Period",
    "evaluation_periods": "EvaluationPeriods",
    "threshold": "Threshold",
    "comparison": "ComparisonOperator",
    "missing": "TreatMissingData",
    "description": "AlarmDescription",
}


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """CloudWatch's defaults; actions have no order; tags are written and not read."""
    full = {**DEFAULTS, **spec}
    for key in ("actions", "ok_actions"):
        if isinstance(full[key], list):
            full[key] = canonical(full[key])
    if isinstance(full.get("threshold"), int | float):
        full["threshold"] = float(full["threshold"])
    tags = full.pop("tags", {})
    return {**full, "tags": tags if isinstance(tags, WriteOnly) else WriteOnly(tags)}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One DescribeAlarms for all of them."""
    alarms = aws.all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{scope.prefix}-")
    alarm = next((one for one in alarms if one["AlarmName"] == name), None)
    if alarm is None:
        return None
    found = {key: alarm[member] for key, member in MEMBERS.items() if member in alarm}
    found["dimensions"] = {one["Name"]: one["Value"] for one in alarm.get("Dimensions", [])}
    found["actions"] = alarm.get("AlarmActions", [])
    found["ok_actions"] = alarm.get("OKActions", [])
    return Live(
        normalise(found),
        {"arn": alarm["AlarmArn"], "name": name},
        status=f"in alarm: {alarm.get('StateReason', '')}" if alarm.get("StateValue") == "ALARM" else "",
        **_marks(alarm.get("AlarmDescription", "")),
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """One call makes it with its tags; made again, it is overwritten."""
    body = {**_body(name, spec), "Tags": pairs(spec["tags"].value)}
    yield Call("cloudwatch", "put_metric_alarm", body)
    return {"arn": _arn(scope, name), "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """The whole alarm again; its tags only when it becomes ours, for they are ignored on an alarm that exists."""
    yield Call("cloudwatch", "put_metric_alarm", _body(name, spec))
    if "description" in changed:
        body = {"ResourceARN": _arn(scope, name), "Tags": pairs(spec["tags"].value)}
        yield Call("cloudwatch", "tag_resource", body)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Its history stays with CloudWatch for a while."""
    yield Call("cloudwatch", "delete_alarms", {"AlarmNames": [name]}, ok=("ResourceNotFound",))
    return {}


def _body(name: str, spec: Mapping[str, Value]) -> dict[str, Any]:
    body = {member: spec[key] for key, member in MEMBERS.items() if key in spec}
    dimensions = [{"Name": key, "Value": value} for key, value in sorted(spec["dimensions"].items())]
    actions = {"ActionsEnabled": True, "AlarmActions": spec["actions"], "OKActions": spec["ok_actions"]}
    return {"AlarmName": name, **body, "Dimensions": dimensions, **actions}


def _arn(scope: Scope, name: str) -> str:
    return f"arn:aws:cloudwatch:{scope.region}:{scope.account}:alarm:{name}"


def _marks(description: str) -> Marks:
    mark = description.rpartition("[")[2]
    return read_phrase(mark.rstrip("]"))
