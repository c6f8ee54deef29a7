"""How an App Runner service scales.  API: App Runner CreateAutoScalingConfiguration, DeleteAutoScalingConfiguration.

A configuration cannot be changed: a change is a new revision of the same name, and the service that moves to it deletes
the one it left.  ``NAME`` is the latest active revision; an older one that no service uses any more (a run was killed
in between) is found as ``NAME/REVISION`` and pruned.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws, standing_marks, standing_tags
from orchestrator.steps import Call, Steps
from orchestrator.values import Value
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES: frozenset[str] = frozenset()
ARN = None

GONE = ("ResourceNotFoundException",)
IN_USE = ("InvalidRequestException",)


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """App Runner's defaults."""
    return {"min_size": 1, "max_size": 25, "max_concurrency": 100, **spec}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """One listing for all, then the latest revision (or the one that ``name`` names) with its tags."""
    family, _, revision = name.partition("/")
    revisions = _revisions(aws).get(family, [])
    found = [one for one in revisions if str(one["AutoScalingConfigurationRevision"]) == revision or not revision]
    if not found:
        return None
    arn = found[-1]["AutoScalingConfigurationArn"]
    answer = aws.get("apprunner", "describe_auto_scaling_configuration", AutoScalingConfigurationArn=arn, missing=GONE)
    if answer is None or not _is_active(answer["AutoScalingConfiguration"]):
        return None
    detail = answer["AutoScalingConfiguration"]
    tags = standing_tags(aws, scope, arn, spec.get("tags"), lambda: _tags(aws, arn))
    sizes = {"min_size": "MinSize", "max_size": "MaxSize", "max_concurrency": "MaxConcurrency"}
    live = {**{key: detail[member] for key, member in sizes.items()}, "tags": tags}
    private = {"is_idle": not found[-1].get("HasAssociatedService", True), "is_leftover": bool(revision)}
    return Live(live, {"arn": arn}, private, **marks(tags))


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """Ours, by their tags: each name, and of each the older revisions that nothing uses."""
    for family, revisions in _revisions(aws).items():
        if not family.startswith(scope.prefix[:20]):  # others' are not asked for their tags
            continue
        latest = revisions[-1]
        for one in revisions:
            if one is not latest and one.get("HasAssociatedService"):
                continue
            if _owner(aws, scope, one["AutoScalingConfigurationArn"]) == scope.owner:
                yield family if one is latest else f"{family}/{one['AutoScalingConfigurationRevision']}"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """A new revision; made twice by a lost answer, the older one is a leftover that pruning finds."""
    body = {
        "AutoScalingConfigurationName": name,
        "MinSize": spec["min_size"],
        "MaxSize": spec["max_size"],
        "MaxConcurrency": spec["max_concurrency"],
        "Tags": pairs(spec["tags"]),
    }
    answer = yield Call("apprunner", "create_auto_scaling_configuration", body)
    return {"arn": answer["AutoScalingConfiguration"]["AutoScalingConfigurationArn"]}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """Other sizes are a new revision with another ARN; tags alone are laid on the one there is.

    The service deletes the revision it leaves; one that it never came to use (a deployment failed) is deleted here.
    """
    arn = live.outputs["arn"]
    if changed <= {"tags"}:
        yield Call("apprunner", "tag_resource", {"ResourceArn": arn, "Tags": pairs(spec["tags"])})
        return {}
    outputs = yield from create(scope, name, spec)
    if live.private["is_idle"]:
        yield _delete({"AutoScalingConfigurationArn": arn})
    return outputs


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """All revisions of a name, or the one leftover.  App Runner refuses while a service that goes still holds it."""
    if live.private["is_leftover"]:
        yield _delete({"AutoScalingConfigurationArn": live.outputs["arn"]})
    else:
        partial = f"arn:aws:apprunner:{scope.region}:{scope.account}:autoscalingconfiguration/{name}"
        yield _delete({"AutoScalingConfigurationArn": partial, "DeleteAllRevisions": True})
    return {}


def _delete(what: Mapping[str, Value]) -> Call:
    return Call("apprunner", "delete_auto_scaling_configuration", what, ok=GONE, retry=IN_USE)


def _revisions(aws: Aws) -> Mapping[str, list[Mapping[str, Any]]]:
    """Every active configuration of the account, by name, the latest last."""
    member = "AutoScalingConfigurationSummaryList"
    found: dict[str, list[Mapping[str, Any]]] = {}
    for one in aws.all("apprunner", "list_auto_scaling_configurations", member, LatestOnly=False):
        if _is_active(one):
            found.setdefault(one["AutoScalingConfigurationName"], []).append(one)
    return {name: sorted(each, key=lambda one: one["AutoScalingConfigurationRevision"]) for name, each in found.items()}


def _is_active(one: Mapping[str, Any]) -> bool:
    """AWS answers ``active`` where its model says ``ACTIVE``."""
    return str(one.get("Status", "ACTIVE")).upper() == "ACTIVE"


def _owner(aws: Aws, scope: Scope, arn: str) -> str | None:
    return standing_marks(aws, scope, arn, lambda: _tags(aws, arn))["owner"]


def _tags(aws: Aws, arn: str) -> dict[str, str]:
    return mapping(aws.all("apprunner", "list_tags_for_resource", "Tags", ResourceArn=arn, missing=GONE))
