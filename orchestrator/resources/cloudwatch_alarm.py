"""Manage metric alarms. API: CloudWatch PutMetricAlarm, DescribeAlarms, DeleteAlarms, TagResource.

One listing by the environment's prefix returns every alarm. Reading tags would cost one call per alarm, so the
description also ends with the owner (``... [orchestrator shop/prod database.main]``), which is what is read; the tags
only if somebody edited it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import Ownership, from_aws_tags, parse_ownership_comment, to_aws_tags
from orchestrator.resources import AwsReader, read_ownership
from orchestrator.resources._watched import Watched, find_changes
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
    "actions_enabled": True,
}
WATCHED = {
    "insufficient_data_actions": Watched(
        "InsufficientDataActions", "The next change of the alarm removes them", overwritten=True
    ),
    "datapoints_to_alarm": Watched("DatapointsToAlarm", "The next change of the alarm removes it", overwritten=True),
    "extended_statistic": Watched("ExtendedStatistic", "The next change of the alarm replaces it", overwritten=True),
    "metrics": Watched("Metrics", "The next change of the alarm replaces them", overwritten=True),
    "unit": Watched("Unit", "The next change of the alarm removes it", overwritten=True),
    "low_sample_percentile": Watched(
        "EvaluateLowSampleCountPercentile", "The next change of the alarm removes it", overwritten=True
    ),
    "threshold_metric": Watched("ThresholdMetricId", "The next change of the alarm removes it", overwritten=True),
    "evaluation_interval": Watched("EvaluationInterval", "The next change of the alarm removes it", overwritten=True),
    "evaluation_window": Watched("EvaluationWindow", "The next change of the alarm removes it", overwritten=True),
    "warm_up": Watched("WarmUpConfiguration", "The next change of the alarm removes it", overwritten=True),
    "evaluation_criteria": Watched("EvaluationCriteria", "The next change of the alarm replaces it", overwritten=True),
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
    """Return the spec with CloudWatch's defaults and sorted actions; tags are written but not read."""
    normalised = {**DEFAULTS, **spec}
    for key in ("actions", "ok_actions"):
        if isinstance(normalised[key], list):
            normalised[key] = sort_canonically(normalised[key])
    if isinstance(normalised.get("threshold"), int | float):
        normalised["threshold"] = float(normalised["threshold"])
    tags = normalised.pop("tags", {})
    return {**normalised, "tags": tags if isinstance(tags, WriteOnly) else WriteOnly(tags)}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the alarm from one DescribeAlarms call for all alarms, or None."""
    alarms = aws.all("cloudwatch", "describe_alarms", "MetricAlarms", AlarmNamePrefix=f"{scope.name_prefix}-")
    alarm = next((item for item in alarms if item["AlarmName"] == name), None)
    if alarm is None:
        return None
    live_spec = {key: alarm[member] for key, member in ALARM_MEMBERS.items() if member in alarm}
    live_spec["dimensions"] = {item["Name"]: item["Value"] for item in alarm.get("Dimensions", [])}
    live_spec["actions"] = alarm.get("AlarmActions", [])
    live_spec["ok_actions"] = alarm.get("OKActions", [])
    live_spec["actions_enabled"] = alarm.get("ActionsEnabled", True)
    return LiveResource(
        normalise(live_spec),
        {"arn": alarm["AlarmArn"], "name": name},
        unmanaged=find_changes(WATCHED, alarm) if spec else (),
        status=f"in alarm: {alarm.get('StateReason', '')}" if alarm.get("StateValue") == "ALARM" else "",
        **_read_ownership(aws, scope, alarm),
    )


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the alarm with its tags in one call; repeating it overwrites the alarm."""
    request = {**_build_request(name, spec), "Tags": to_aws_tags(spec["tags"].value)}
    yield ApiCall("cloudwatch", "put_metric_alarm", request)
    return {"arn": _alarm_arn(scope, name), "name": name}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Replace the alarm, and tag it if its owner changes: PutMetricAlarm ignores tags of an existing alarm."""
    yield ApiCall("cloudwatch", "put_metric_alarm", _build_request(name, spec))
    if "description" in changed:
        request = {"ResourceARN": _alarm_arn(scope, name), "Tags": to_aws_tags(spec["tags"].value)}
        yield ApiCall("cloudwatch", "tag_resource", request)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the alarm. CloudWatch keeps its history for a while."""
    yield ApiCall("cloudwatch", "delete_alarms", {"AlarmNames": [name]}, ok_codes=("ResourceNotFound",))
    return {}


def _build_request(name: str, spec: Mapping[str, Value]) -> dict[str, Any]:
    members = {member: spec[key] for key, member in ALARM_MEMBERS.items() if key in spec}
    dimensions = [{"Name": key, "Value": value} for key, value in sorted(spec["dimensions"].items())]
    actions = {"AlarmActions": spec["actions"], "OKActions": spec["ok_actions"]}
    actions |= {"ActionsEnabled": spec["actions_enabled"]}
    return {"AlarmName": name, **members, "Dimensions": dimensions, **actions}


def _alarm_arn(scope: Scope, name: str) -> str:
    return f"arn:aws:cloudwatch:{scope.region}:{scope.account}:alarm:{name}"


def _read_ownership(aws: AwsReader, scope: Scope, alarm: Mapping[str, Any]) -> Ownership:
    """Return the owner that the description names, or if somebody edited it, the one that the tags name."""
    phrase = alarm.get("AlarmDescription", "").rpartition("[")[2]
    ownership = parse_ownership_comment(phrase.rstrip("]"))
    return ownership if ownership["owner"] else _read_tagged_ownership(aws, scope, alarm["AlarmArn"])


def _read_tagged_ownership(aws: AwsReader, scope: Scope, arn: str) -> Ownership:
    def fetch_tags() -> dict[str, str]:
        response = aws.get(
            "cloudwatch", "list_tags_for_resource", ResourceARN=arn, missing=("ResourceNotFoundException",)
        )
        return from_aws_tags((response or {}).get("Tags"))

    return read_ownership(aws, scope, arn, fetch_tags)
