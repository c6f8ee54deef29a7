"""What App Runner traces.  API: App Runner CreateObservabilityConfiguration, DeleteObservabilityConfiguration.

There is one vendor (X-Ray) and so nothing to change: a configuration is made and deleted.
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws
from orchestrator.steps import Call, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws:apprunner:[^:]+:\d+:observabilityconfiguration/(?P<name>[^/]+)/.+")

GONE = ("ResourceNotFoundException",)
IN_USE = ("InvalidRequestException",)
LISTED = "ObservabilityConfigurationSummaryList"


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Nothing but marks to compare."""
    return spec


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing for all, which holds the active ones; then the tags of the latest revision."""
    listed: list[Mapping[str, Any]] = aws.all(
        "apprunner", "list_observability_configurations", LISTED, LatestOnly=False
    )
    found = sorted(
        (one for one in listed if one["ObservabilityConfigurationName"] == name),
        key=lambda one: -one["ObservabilityConfigurationRevision"],
    )
    if not found:
        return None
    arns = [one["ObservabilityConfigurationArn"] for one in found]
    tags = mapping(aws.all("apprunner", "list_tags_for_resource", "Tags", ResourceArn=arns[0], missing=GONE))
    return Live({"tags": tags}, {"arn": arns[0]}, {"arns": arns}, **marks(tags))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Made twice by a lost answer it has two revisions, which are deleted together."""
    body = {
        "ObservabilityConfigurationName": name,
        "TraceConfiguration": {"Vendor": "AWSXRAY"},
        "Tags": pairs(spec["tags"]),
    }
    answer = yield Call("apprunner", "create_observability_configuration", body)
    return {"arn": answer["ObservabilityConfiguration"]["ObservabilityConfigurationArn"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Marks."""
    yield Call("apprunner", "tag_resource", {"ResourceArn": live.outputs["arn"], "Tags": pairs(spec["tags"])})
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """Every revision.  App Runner refuses while a service that goes still holds it."""
    for arn in live.private["arns"]:
        body = {"ObservabilityConfigurationArn": arn}
        yield Call("apprunner", "delete_observability_configuration", body, ok=GONE, retry=IN_USE)
    return {}
