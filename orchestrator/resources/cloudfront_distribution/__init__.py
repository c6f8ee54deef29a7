"""Manage CloudFront distributions. API: CloudFront CreateDistributionWithTags, GetDistributionConfig,
UpdateDistribution.

The only unique attribute that a client can choose is the caller reference, which no listing returns: so the comment
contains the ownership mark, and a distribution is found by it. An update reads, merges and writes the same version.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import (
    Ownership,
    format_ownership_comment,
    from_aws_tags,
    parse_ownership,
    parse_ownership_comment,
    to_aws_tags,
)
from orchestrator.resources import AwsReader
from orchestrator.resources.cloudfront_distribution.config import merge_config, normalise, parse_config
from orchestrator.steps import ApiCall, Compute, Steps, Wait
from orchestrator.values import Sensitive, Value, join_parts
from orchestrator.vocabulary import Health, LiveResource, Scope

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

NOT_FOUND_CODES = ("NoSuchDistribution", "NoSuchResource")
DEPLOYMENT_SLOW_HINT = "CloudFront is still deploying the change to its edge locations. Wait, then run again."
DEPLOYMENT_TIMEOUT_SECONDS = 1800.0


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the distribution with its configuration and tags, or None.

    It is found in the listing of all distributions.
    """
    summary = _find_summary(aws, scope, name, spec)
    if summary is None:
        return None
    response = aws.get("cloudfront", "get_distribution_config", Id=summary["Id"], missing=NOT_FOUND_CODES)
    if response is None:
        return None
    tag_response = (
        aws.get("cloudfront", "list_tags_for_resource", Resource=summary["ARN"], missing=NOT_FOUND_CODES) or {}
    )
    tags = from_aws_tags(tag_response.get("Tags", {}).get("Items"))
    config = response["DistributionConfig"]
    live_spec = {**normalise(parse_config(config)), "tags": tags}
    outputs = _build_outputs(summary["Id"], summary["ARN"], summary["DomainName"], live_spec["aliases"])
    is_deployed = summary["Status"] == "Deployed"
    return LiveResource(
        live_spec,
        outputs,
        {"id": summary["Id"], "config": config, "etag": response["ETag"]},
        health=Health.HEALTHY if is_deployed else Health.PROGRESSING,
        status=summary["Status"],
        **_read_ownership(tags, config["Comment"]),
    )


def discover(aws: AwsReader, scope: Scope) -> Iterator[str]:
    """Yield the environment's distributions by their comments; the tagging API lists only their ids."""
    for summary in aws.all("cloudfront", "list_distributions", "DistributionList.Items"):
        ownership = parse_ownership_comment(summary.get("Comment", ""))
        if ownership["owner"] == scope.owner and ownership["component"]:
            yield f"{scope.name_prefix}-{ownership['component'].removeprefix('cdn.')}"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the distribution and wait until it is deployed.

    If the caller reference is taken, an earlier attempt created it: its id is then read from the listing.
    """
    config = {**merge_config(spec, {}), "CallerReference": f"orchestrator/{scope.owner}/{name}"}
    config_with_tags = {"DistributionConfig": config, "Tags": {"Items": to_aws_tags(spec["tags"])}}
    create_response = yield ApiCall(
        "cloudfront",
        "create_distribution_with_tags",
        {"DistributionConfigWithTags": config_with_tags},
        ok_codes=("DistributionAlreadyExists",),
        retry_codes=(
            "InvalidOriginAccessControl",
            "InvalidFunctionAssociation",
        ),  # created just before, not visible yet
        timeout_seconds=30.0,
    )
    distributions = yield ApiCall("cloudfront", "list_distributions", {})
    identity = yield Compute(
        "distribution ID and host name", _extract_identity, (create_response, distributions, spec["comment"])
    )
    yield _wait_until_deployed(identity["id"])
    arn = join_parts([f"arn:aws:cloudfront::{scope.account}:distribution/", identity["id"]])
    return _build_outputs(identity["id"], arn, identity["host"], spec["aliases"])


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
        yield ApiCall("cloudfront", "update_distribution", request)
        yield _wait_until_deployed(distribution_id)
    return _build_outputs(distribution_id, live.outputs["arn"], live.outputs["host"], spec["aliases"])


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Disable the distribution, wait until every edge location knows, and delete it."""
    distribution_id = live.private["id"]
    if live.spec["enabled"]:
        config = Sensitive({**live.private["config"], "Enabled": False})  # origin headers may contain secrets
        request = {"Id": distribution_id, "IfMatch": live.private["etag"], "DistributionConfig": config}
        yield ApiCall("cloudfront", "update_distribution", request, ok_codes=NOT_FOUND_CODES)
    disabled = yield _wait_until_deployed(distribution_id)
    request = {"Id": distribution_id, "IfMatch": disabled.get("ETag", live.private["etag"])}
    yield ApiCall(
        "cloudfront", "delete_distribution", request, ok_codes=NOT_FOUND_CODES, retry_codes=("DistributionNotDisabled",)
    )
    return {}


def stuck(live: LiveResource) -> str:
    """Return what to do about a distribution that is not deployed yet."""
    return DEPLOYMENT_SLOW_HINT


def _wait_until_deployed(distribution_id: Value) -> Wait:
    describe_call = ApiCall("cloudfront", "get_distribution", {"Id": distribution_id})
    return Wait(
        describe_call,
        "Distribution.Status",
        ("Deployed",),
        deleted_codes=NOT_FOUND_CODES,
        timeout_seconds=DEPLOYMENT_TIMEOUT_SECONDS,
        stuck_hint=DEPLOYMENT_SLOW_HINT,
        description="the distribution",
    )


def _ownership_comment(scope: Scope, name: str) -> str:
    return format_ownership_comment(scope, "cdn." + name.removeprefix(f"{scope.name_prefix}-"))


def _read_ownership(tags: Mapping[str, str], comment: str) -> Ownership:
    """Return the owner from the tags, or from the comment if the tags were removed."""
    ownership = parse_ownership(tags)
    return ownership if ownership["owner"] else parse_ownership_comment(comment)


def _find_summary(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> dict[str, Any] | None:
    """Return the distribution with the ownership mark, else one that serves a declared alias, whoever created it."""
    summaries = aws.all("cloudfront", "list_distributions", "DistributionList.Items")
    owned = [summary for summary in summaries if summary.get("Comment") == _ownership_comment(scope, name)]
    aliases = {alias for alias in spec.get("aliases", ()) if isinstance(alias, str)}
    aliased = [summary for summary in summaries if aliases.intersection(summary.get("Aliases", {}).get("Items", ()))]
    return next(iter(owned or aliased), None)


def _build_outputs(distribution_id: Value, arn: Value, host: Value, aliases: list[Value]) -> dict[str, Value]:
    return {"id": distribution_id, "arn": arn, "host": host, "domain": aliases[0] if aliases else host}


def _extract_identity(
    create_response: Mapping[str, Any], distributions: Mapping[str, Any], comment: str
) -> dict[str, str]:
    """Return id and host name from the creation's response, or else from the listing."""
    summaries = distributions.get("DistributionList", {}).get("Items", ())
    candidates = (
        [create_response["Distribution"]]
        if create_response
        else [summary for summary in summaries if summary.get("Comment") == comment]
    )
    distribution = next(iter(candidates), {"Id": "not-listed-yet", "DomainName": ""})
    return {"id": distribution["Id"], "host": distribution["DomainName"]}
