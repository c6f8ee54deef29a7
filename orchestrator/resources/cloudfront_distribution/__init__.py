"""Manage CloudFront distributions. API: CloudFront CreateDistributionWithTags, GetDistribution, UpdateDistribution.

A distribution is found by its tags. The listing of tags lags, so the comment, which anybody may edit, and an alias are
hints whom to ask; the distribution's own tags decide, or the caller reference, which never changes, if it has none.
An update reads, merges and writes the same version.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import (
    Ownership,
    format_ownership_comment,
    from_aws_tags,
    parse_ownership,
    parse_ownership_comment,
    to_aws_tags,
)
from orchestrator.problems import Problems
from orchestrator.resources import AwsReader
from orchestrator.resources._cloudfront import (
    DISTRIBUTION_NOT_FOUND_CODES,
    component_of,
    list_components,
    list_tagged_distributions,
    read_distribution,
)
from orchestrator.resources._existing import check_owner, check_unchanged
from orchestrator.resources._watched import find_changes
from orchestrator.resources.cloudfront_distribution.config import WATCHED, merge_config, normalise, parse_config
from orchestrator.steps import ApiCall, Compute, Steps, Wait
from orchestrator.values import Sensitive, Value, WriteOnly, join_parts
from orchestrator.vocabulary import TAG_COMPONENT, Health, LiveResource, Scope

__all__ = [
    "ARN",
    "IMMUTABLE",
    "STATEFUL",
    "USES",
    "create",
    "delete",
    "discover",
    "normalise",
    "read",
    "stuck",
    "update",
]

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset(
    {
        "apprunner_service",
        "cloudfront_function",
        "cloudfront_headers",
        "cloudfront_oac",
        "ecs_express_service",
        "s3_bucket",
    }
)
ARN = None

ALIAS_IN_USE_CODE = "CNAMEAlreadyExists"
"""Error code for an alias of another distribution, which may be about to give it up in the same run."""
DEPLOYMENT_SLOW_HINT = (
    "CloudFront is still deploying the change to its edge locations. Wait, then run the command again."
)
DEPLOYMENT_TIMEOUT_SECONDS = 1800.0
_DISTRIBUTION_ID = re.compile(r"\bE[0-9A-Z]{8,}\b")


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the distribution with its configuration and tags, or None.

    Of several, return the component's own; else the declared one, or the one that serves a declared alias, whoever
    created it.
    """
    components = list_components(scope, name, spec)
    listed_tags = list_tagged_distributions(aws, scope)
    aliased_lives: list[LiveResource] = []
    for distribution_id, is_aliased in _list_candidates(aws, scope, name, spec, listed_tags).items():
        confirmed_tags = _confirm_tags(listed_tags.get(distribution_id, {}), spec)
        live = _read_live(aws, scope, name, distribution_id, confirmed_tags, spec)
        if live is not None and live.owner == scope.owner and live.component in components:
            return live
        if live is not None and is_aliased:
            aliased_lives.append(live)
    return next(iter(aliased_lives), None)


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the environment's distributions by their tags, and by their comments, as the listing of tags lags."""
    components = [tags.get(TAG_COMPONENT, "") for tags in list_tagged_distributions(aws, scope).values()]
    for summary in _list_summaries(aws):
        ownership = parse_ownership_comment(summary.get("Comment", ""))
        if ownership["owner"] == scope.owner:
            components.append(ownership["component"] or "")
    for component in dict.fromkeys(filter(None, components)):
        yield f"{scope.name_prefix}-{component.removeprefix('cdn.')}"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the distribution and wait until it is deployed.

    If the caller reference is taken, an earlier attempt created it: AWS's message then names the distribution.
    Raises Problems if the spec names an existing distribution: there is none with that id.
    """
    if declared_id := _declared_id(spec):
        raise Problems.from_message(
            f"the distribution {declared_id} does not exist in account {scope.account}",
            hint="correct `distributionId`, or remove it to create a new distribution",
        )
    config = {**merge_config(spec, {}), "CallerReference": _caller_reference(scope, name)}
    config_with_tags = {"DistributionConfig": config, "Tags": {"Items": to_aws_tags(spec["tags"])}}
    response = yield ApiCall(
        "cloudfront",
        "create_distribution_with_tags",
        {"DistributionConfigWithTags": config_with_tags},
        retry_codes=(ALIAS_IN_USE_CODE,),
        timeout_seconds=30.0,
        exists_codes=("DistributionAlreadyExists",),
        read_existing=lambda aws, message: _read_existing(aws, scope, name, spec, message),
    )
    distribution_id, host = response["Distribution"]["Id"], response["Distribution"]["DomainName"]
    yield _wait_until_deployed(distribution_id)
    arn = join_parts([f"arn:aws:cloudfront::{scope.account}:distribution/", distribution_id])
    return _build_outputs(distribution_id, arn, host, spec["aliases"])


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update the distribution, keeping every setting that the spec does not declare as it is at that moment."""
    distribution_id = live.private["id"]
    if "tags" in changed:
        request = {"Resource": live.outputs["arn"], "Tags": {"Items": to_aws_tags(spec["tags"])}}
        yield ApiCall("cloudfront", "tag_resource", request)
    if changed - {"tags"}:
        current = yield ApiCall("cloudfront", "get_distribution_config", {"Id": distribution_id})
        config = yield Compute(
            "merged distribution configuration", merge_config, (dict(spec), current["DistributionConfig"])
        )
        request = {"Id": distribution_id, "IfMatch": current["ETag"], "DistributionConfig": config}
        yield ApiCall("cloudfront", "update_distribution", request, refresh=_refresh_update(distribution_id, spec))
        yield _wait_until_deployed(distribution_id)
    return _build_outputs(distribution_id, live.outputs["arn"], live.outputs["host"], spec["aliases"])


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Disable the distribution, wait until every edge location knows, and delete it."""
    distribution_id = live.private["id"]
    if live.spec["enabled"]:
        config = Sensitive({**live.private["config"], "Enabled": False})  # origin headers may contain secrets
        request = {"Id": distribution_id, "IfMatch": live.private["etag"], "DistributionConfig": config}
        yield ApiCall("cloudfront", "update_distribution", request, ok_codes=DISTRIBUTION_NOT_FOUND_CODES)
    disabled = yield _wait_until_deployed(distribution_id, deleted_codes=DISTRIBUTION_NOT_FOUND_CODES)
    request = {"Id": distribution_id, "IfMatch": disabled.get("ETag", live.private["etag"])}
    yield ApiCall(
        "cloudfront",
        "delete_distribution",
        request,
        ok_codes=DISTRIBUTION_NOT_FOUND_CODES,
        retry_codes=("DistributionNotDisabled",),
    )
    return {}


def _refresh_update(
    distribution_id: str, spec: Mapping[str, Value]
) -> Callable[[AwsReader, Mapping[str, Any]], Mapping[str, Any]]:
    """Return the ``refresh`` of an update: merge the spec into the configuration that somebody else has changed."""

    def refresh(aws: AwsReader, request: Mapping[str, Any]) -> Mapping[str, Any]:
        current = aws.get("cloudfront", "get_distribution_config", Id=distribution_id)
        config = merge_config(dict(spec), current["DistributionConfig"])
        return {**request, "IfMatch": current["ETag"], "DistributionConfig": config}

    return refresh


def stuck(live: LiveResource) -> str:
    """Return what to do about a distribution that is not deployed yet."""
    return DEPLOYMENT_SLOW_HINT


def _wait_until_deployed(distribution_id: Value, deleted_codes: tuple[str, ...] = ()) -> Wait:
    not_visible_codes = () if deleted_codes else DISTRIBUTION_NOT_FOUND_CODES
    describe_call = ApiCall("cloudfront", "get_distribution", {"Id": distribution_id}, retry_codes=not_visible_codes)
    return Wait(
        describe_call,
        "Distribution.Status",
        ("Deployed",),
        deleted_codes=deleted_codes,
        timeout_seconds=DEPLOYMENT_TIMEOUT_SECONDS,
        stuck_hint=DEPLOYMENT_SLOW_HINT,
        description="the distribution",
    )


def _declared_id(spec: Mapping[str, Value]) -> str:
    """Return the id of the distribution that the manifest names, or ""."""
    declared = spec.get("distribution_id", "")
    return str(declared.value if isinstance(declared, WriteOnly) else declared)


def _caller_reference(scope: Scope, name: str) -> str:
    return f"orchestrator/{scope.owner}/{name}"


def _list_summaries(aws: AwsReader) -> list[Any]:
    return aws.all("cloudfront", "list_distributions", "DistributionList.Items")


def _list_candidates(
    aws: AwsReader,
    scope: Scope,
    name: str,
    spec: Mapping[str, Value],
    listed_tags: Mapping[str, Mapping[str, str]],
) -> dict[str, bool]:
    """Return the ids of distributions that may be the component's, tagged ones first, and whether the manifest says so.

    It names the id, or an alias that the distribution serves.
    """
    components = list_components(scope, name, spec)
    comments = [format_ownership_comment(scope, component) for component in components]
    declared_id = _declared_id(spec)
    aliases = {alias for alias in spec.get("aliases", ()) if isinstance(alias, str) and not declared_id}
    tagged_ids = [key for key, tags in listed_tags.items() if tags.get(TAG_COMPONENT) in components]
    candidates = dict.fromkeys(tagged_ids, False) | ({declared_id: True} if declared_id else {})
    for summary in _list_summaries(aws):
        if summary.get("Comment") in comments:
            candidates.setdefault(summary["Id"], False)
        if aliases.intersection(summary.get("Aliases", {}).get("Items", ())):
            candidates[summary["Id"]] = True
    return candidates


def _read_live(
    aws: AwsReader,
    scope: Scope,
    name: str,
    distribution_id: str,
    confirmed_tags: Mapping[str, str],
    spec: Mapping[str, Value],
) -> LiveResource | None:
    """Return a distribution, whoever owns it, or None. ``confirmed_tags`` save the call that reads its tags."""
    response = read_distribution(aws, distribution_id)
    if response is None:
        return None
    distribution = response["Distribution"]
    config = distribution["DistributionConfig"]
    tags = confirmed_tags or _fetch_tags(aws, distribution["ARN"])
    live_spec = {**normalise(parse_config(config)), "tags": tags}
    behaviours = [spec.get("default_behaviour", {}), *spec.get("behaviours", {}).values()]
    declared = {*spec, *(field for behaviour in behaviours for field in behaviour)}
    watched = {key: setting for key, setting in WATCHED.items() if key not in declared}
    is_deployed = distribution["Status"] == "Deployed"
    return LiveResource(
        live_spec,
        _build_outputs(distribution_id, distribution["ARN"], distribution["DomainName"], live_spec["aliases"]),
        {"id": distribution_id, "config": config, "etag": response["ETag"]},
        health=Health.HEALTHY if is_deployed else Health.PROGRESSING,
        status=distribution["Status"],
        unmanaged=find_changes(watched, config) if spec else (),
        **_parse_ownership(scope, name, tags, config),
    )


def _confirm_tags(listed_tags: Mapping[str, str], spec: Mapping[str, Value]) -> Mapping[str, str]:
    """Return the listed tags if they are as desired, else {}: the listing lags, so a difference is checked."""
    desired_tags = spec.get("tags", {})
    return listed_tags if desired_tags and desired_tags.items() <= listed_tags.items() else {}


def _fetch_tags(aws: AwsReader, arn: str) -> dict[str, str]:
    response = aws.get("cloudfront", "list_tags_for_resource", Resource=arn, missing=DISTRIBUTION_NOT_FOUND_CODES)
    return from_aws_tags((response or {}).get("Tags", {}).get("Items"))


def _parse_ownership(scope: Scope, name: str, tags: Mapping[str, str], config: Mapping[str, Any]) -> Ownership:
    """Return the owner from the tags; if they were removed, from the caller reference, which only creation sets."""
    ownership = parse_ownership(tags)
    if ownership["owner"] is None and config["CallerReference"] == _caller_reference(scope, name):
        return Ownership(owner=scope.owner, component=component_of(scope, name), deletable=False)
    return ownership


def _read_existing(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value], message: str) -> Any:
    """Return the distribution that uses the caller reference as a creation's response; None if it is not visible yet.

    Raises Problems if it is not this component's own as the plan creates it.
    """
    match_ = _DISTRIBUTION_ID.search(message)
    live = _read_live(aws, scope, name, match_[0], {}, {}) if match_ else read(aws, scope, name, spec)
    if live is None:
        return None
    if not scope.owns(live.spec["tags"]) or live.spec["tags"].get(TAG_COMPONENT) not in list_components(
        scope, name, spec
    ):
        problem = f"distribution {live.private['id']} was created for {name}, but no longer has its tags"
        raise Problems.from_message(problem, hint="restore the tags or delete the distribution, then plan again")
    check_owner(scope, name, live)
    check_unchanged(name, spec, live)
    return {"Distribution": {"Id": live.private["id"], "DomainName": live.outputs["host"]}}


def _build_outputs(distribution_id: Value, arn: Value, host: Value, aliases: list[Value]) -> dict[str, Value]:
    return {"id": distribution_id, "arn": arn, "host": host, "domain": aliases[0] if aliases else host}
