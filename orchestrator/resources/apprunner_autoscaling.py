"""Manage App Runner autoscaling configurations.

API: App Runner CreateAutoScalingConfiguration, DeleteAutoScalingConfiguration.

A configuration is immutable: a change creates a new revision of the same name, and the service that switches to it
deletes the previous revision. ``NAME`` is the latest active revision; an older one that no service uses (left by a
killed run) is discovered as ``NAME/REVISION`` and pruned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader, read_ownership, read_tags
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

NOT_FOUND_CODES = ("ResourceNotFoundException",)
IN_USE_CODES = ("InvalidRequestException",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with App Runner's defaults filled in."""
    return {"min_size": 1, "max_size": 25, "max_concurrency": 100, **spec}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the latest revision of a configuration, or the revision that ``name`` specifies, or None."""
    family, _, revision = name.partition("/")
    revisions = _list_revisions(aws).get(family, [])
    matching = [item for item in revisions if str(item["AutoScalingConfigurationRevision"]) == revision or not revision]
    if not matching:
        return None
    arn = matching[-1]["AutoScalingConfigurationArn"]
    response = aws.get(
        "apprunner", "describe_auto_scaling_configuration", AutoScalingConfigurationArn=arn, missing=NOT_FOUND_CODES
    )
    if response is None or not _is_active(response["AutoScalingConfiguration"]):
        return None
    configuration = response["AutoScalingConfiguration"]
    tags = read_tags(aws, scope, arn, spec.get("tags"), lambda: _fetch_tags(aws, arn))
    size_members = {"min_size": "MinSize", "max_size": "MaxSize", "max_concurrency": "MaxConcurrency"}
    live_spec = {**{key: configuration[member] for key, member in size_members.items()}, "tags": tags}
    private = {"is_idle": not matching[-1].get("HasAssociatedService", True), "is_leftover": bool(revision)}
    return LiveResource(live_spec, {"arn": arn}, private, **parse_ownership(tags))


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the environment's configurations by their tags: each name, and each older revision that no service uses."""
    for family, revisions in _list_revisions(aws).items():
        if not family.startswith(scope.name_prefix[:20]):  # saves a tag lookup for resources of others
            continue
        latest = revisions[-1]
        for item in revisions:
            if item is not latest and item.get("HasAssociatedService"):
                continue
            if _read_owner(aws, scope, item["AutoScalingConfigurationArn"]) == scope.owner:
                yield family if item is latest else f"{family}/{item['AutoScalingConfigurationRevision']}"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create a new revision. If a lost response makes it twice, pruning finds the older one."""
    request = {
        "AutoScalingConfigurationName": name,
        "MinSize": spec["min_size"],
        "MaxSize": spec["max_size"],
        "MaxConcurrency": spec["max_concurrency"],
        "Tags": to_aws_tags(spec["tags"]),
    }
    response = yield ApiCall("apprunner", "create_auto_scaling_configuration", request)
    return {"arn": response["AutoScalingConfiguration"]["AutoScalingConfigurationArn"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Create a new revision for changed sizes; for changed tags alone, tag the current one.

    The service deletes the revision it leaves. A revision that it never used (a deployment failed) is deleted here.
    """
    arn = live.outputs["arn"]
    if changed <= {"tags"}:
        yield ApiCall("apprunner", "tag_resource", {"ResourceArn": arn, "Tags": to_aws_tags(spec["tags"])})
        return {}
    outputs = yield from create(scope, name, spec)
    if live.private["is_idle"]:
        yield _delete_call({"AutoScalingConfigurationArn": arn})
    return outputs


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete all revisions of a name, or one leftover.

    App Runner refuses while a service being deleted still uses it.
    """
    if live.private["is_leftover"]:
        yield _delete_call({"AutoScalingConfigurationArn": live.outputs["arn"]})
    else:
        partial = f"arn:aws:apprunner:{scope.region}:{scope.account}:autoscalingconfiguration/{name}"
        yield _delete_call({"AutoScalingConfigurationArn": partial, "DeleteAllRevisions": True})
    return {}


def _delete_call(request: Mapping[str, Value]) -> ApiCall:
    return ApiCall(
        "apprunner", "delete_auto_scaling_configuration", request, ok_codes=NOT_FOUND_CODES, retry_codes=IN_USE_CODES
    )


def _list_revisions(aws: AwsReader) -> Mapping[str, list[Mapping[str, Any]]]:
    """Return every active configuration of the account by name, the latest revision last."""
    member = "AutoScalingConfigurationSummaryList"
    by_name: dict[str, list[Mapping[str, Any]]] = {}
    for item in aws.all("apprunner", "list_auto_scaling_configurations", member, LatestOnly=False):
        if _is_active(item):
            by_name.setdefault(item["AutoScalingConfigurationName"], []).append(item)
    return {
        name: sorted(items, key=lambda item: item["AutoScalingConfigurationRevision"])
        for name, items in by_name.items()
    }


def _is_active(configuration: Mapping[str, Any]) -> bool:
    """Return whether a configuration is active. AWS returns ``active`` although its model says ``ACTIVE``."""
    return str(configuration.get("Status", "ACTIVE")).upper() == "ACTIVE"


def _read_owner(aws: AwsReader, scope: Scope, arn: str) -> str | None:
    return read_ownership(aws, scope, arn, lambda: _fetch_tags(aws, arn))["owner"]


def _fetch_tags(aws: AwsReader, arn: str) -> dict[str, str]:
    return from_aws_tags(
        aws.all("apprunner", "list_tags_for_resource", "Tags", ResourceArn=arn, missing=NOT_FOUND_CODES)
    )
