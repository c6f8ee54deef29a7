"""Manage App Runner tracing. API: App Runner CreateObservabilityConfiguration, DeleteObservabilityConfiguration.

X-Ray is the only vendor, so there is nothing to change: a configuration is created and deleted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:apprunner:[^:]+:\d+:observabilityconfiguration/(?P<name>[^/]+)/.+")

NOT_FOUND_CODES = ("ResourceNotFoundException",)
IN_USE_CODES = ("InvalidRequestException",)
LIST_MEMBER = "ObservabilityConfigurationSummaryList"


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec unchanged: only tags are compared."""
    return spec


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the latest active revision of a configuration with its tags, or None."""
    configurations: list[Mapping[str, Any]] = aws.all(
        "apprunner", "list_observability_configurations", LIST_MEMBER, LatestOnly=False
    )
    revisions = sorted(
        (item for item in configurations if item["ObservabilityConfigurationName"] == name),
        key=lambda item: -item["ObservabilityConfigurationRevision"],
    )
    if not revisions:
        return None
    arns = [item["ObservabilityConfigurationArn"] for item in revisions]
    tags = from_aws_tags(
        aws.all("apprunner", "list_tags_for_resource", "Tags", ResourceArn=arns[0], missing=NOT_FOUND_CODES)
    )
    return LiveResource({"tags": tags}, {"arn": arns[0]}, {"arns": arns}, **parse_ownership(tags))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create a revision. If a lost response makes it twice, both revisions are deleted together."""
    request = {
        "ObservabilityConfigurationName": name,
        "TraceConfiguration": {"Vendor": "AWSXRAY"},
        "Tags": to_aws_tags(spec["tags"]),
    }
    response = yield ApiCall("apprunner", "create_observability_configuration", request)
    return {"arn": response["ObservabilityConfiguration"]["ObservabilityConfigurationArn"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update the tags."""
    yield ApiCall("apprunner", "tag_resource", {"ResourceArn": live.outputs["arn"], "Tags": to_aws_tags(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete every revision. App Runner refuses while a service being deleted still uses it."""
    for arn in live.private["arns"]:
        request = {"ObservabilityConfigurationArn": arn}
        yield ApiCall(
            "apprunner",
            "delete_observability_configuration",
            request,
            ok_codes=NOT_FOUND_CODES,
            retry_codes=IN_USE_CODES,
        )
    return {}
