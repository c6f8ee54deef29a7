"""Metric alarms.  API: CloudWatch PutMetricAlarm, DescribeAlarms, DeleteAlarms, TagResource.

One listing by the environment's prefix serves every alarm.  Alarms' tags would cost a call each, so whose an alarm is
stands at the end of its description too (``... [orchestrator shop/prod database.main]``), and that is what is read.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import Ownership, parse_ownership_comment, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, WriteOnly, sort_canonically
from orchestrator.vocabulary import LiveResource, Scope

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
ALARM_MEMBERS = {
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
    normalised = {**DEFAULTS, **spec}
    for key in ("actions", "ok_actions"):
        if isinstance(normalised[key], list):
            normalised[key] = sort_canonically(normalised[key])
    if isinstance(normalised.get("threshold"), int | float):
        normalised["threshold"] = float(normalised["threshold"])
    tags = normalised.pop("tags", {})
    return {**normalised, "tags": tags if isinstance(tags, WriteOnly) else WriteOnly(tags)}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """One DescribeAlarms for all of them."""
    alarms = aws.all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{scope.name_prefix}-")
    alarm = next((item for item in alarms if item["AlarmName"] == name), None)
    if alarm is None:
        return None
    live_spec = {key: alarm[member] for key, member in ALARM_MEMBERS.items() if member in alarm}
    live_spec["dimensions"] = {item["Name"]: item["Value"] for item in alarm.get("Dimensions", [])}
    live_spec["actions"] = alarm.get("AlarmActions", [])
    live_spec["ok_actions"] = alarm.get("OKActions", [])
    return LiveResource(
        normalise(live_spec),
        {"arn": alarm["AlarmArn"], "name": name},
        status=f"in alarm: {alarm.get('StateReason', '')}" if alarm.get("StateValue") == "ALARM" else "",
        **_read_ownership(alarm.get("AlarmDescription", "")),
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """One call makes it with its tags; made again, it is overwritten."""
    request = {**_build_request(name, spec), "Tags": to_aws_tags(spec["tags"].value)}
    yield ApiCall("cloudwatch", "put_metric_alarm", request)
    return {"arn": _alarm_arn(scope, name), "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """The whole alarm again; its tags only when it becomes ours, for they are ignored on an alarm that exists."""
    yield ApiCall("cloudwatch", "put_metric_alarm", _build_request(name, spec))
    if "description" in changed:
        request = {"ResourceARN": _alarm_arn(scope, name), "Tags": to_aws_tags(spec["tags"].value)}
        yield ApiCall("cloudwatch", "tag_resource", request)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Its history stays with CloudWatch for a while."""
    yield ApiCall("cloudwatch", "delete_alarms", {"AlarmNames": [name]}, ok_codes=("ResourceNotFound",))
    return {}


def _build_request(name: str, spec: Mapping[str, Value]) -> dict[str, Any]:
    members = {member: spec[key] for key, member in ALARM_MEMBERS.items() if key in spec}
    dimensions = [{"Name": key, "Value": value} for key, value in sorted(spec["dimensions"].items())]
    actions = {"ActionsEnabled": True, "AlarmActions": spec["actions"], "OKActions": spec["ok_actions"]}
    return {"AlarmName": name, **members, "Dimensions": dimensions, **actions}


def _alarm_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:cloudwatch:{scope.region}:{scope.account}:alarm:{name}"


def _read_ownership(description: str) -> Ownership:
    phrase = description.rpartition("[")[2]
    return parse_ownership_comment(phrase.rstrip("]"))
