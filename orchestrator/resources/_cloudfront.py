"""Find this environment's distributions by their tags, and what they use.

API: Resource Groups Tagging API GetResources in us-east-1, where CloudFront's tags are; CloudFront GetDistribution.
Comments and descriptions are no identity: CloudFront's console calls them "Description" and lets anybody edit them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import Ownership, from_aws_tags, parse_ownership_comment
from orchestrator.resources import AwsReader, list_tagged
from orchestrator.vocabulary import TAG_COMPONENT, Scope

TAGS_REGION = "us-east-1"
DISTRIBUTION_NOT_FOUND_CODES = ("NoSuchDistribution", "NoSuchResource")


def list_tagged_distributions(aws: AwsReader, scope: Scope) -> dict[str, dict[str, str]]:
    """Return the tags of this environment's distributions, by distribution id.

    The listing lags by minutes, and may contain deleted distributions. Raises AwsError.
    """
    tags_by_arn = {item["ResourceARN"]: from_aws_tags(item["Tags"]) for item in list_tagged(aws, scope, TAGS_REGION)}
    return {
        arn.rpartition("/")[2]: tags
        for arn, tags in sorted(tags_by_arn.items())
        if arn.startswith(f"arn:aws:cloudfront::{scope.account}:distribution/")
    }


def read_distribution(aws: AwsReader, distribution_id: str) -> Any:
    """Return the response of GetDistribution, or None if there is no such distribution. Raises AwsError."""
    return aws.get("cloudfront", "get_distribution", Id=distribution_id, missing=DISTRIBUTION_NOT_FOUND_CODES)


def component_of(scope: Scope, name: str) -> str:
    """Return the component to which a physical name belongs: ``cdn.web`` of ``shop-prod-web``."""
    return "cdn." + name.removeprefix(f"{scope.name_prefix}-")


def list_components(scope: Scope, name: str, spec: Mapping[str, Any]) -> tuple[str, ...]:
    """Return the components that marks may name: that of the spec, and the one whose name a renamed one has kept."""
    return tuple(
        dict.fromkeys((spec.get("tags", {}).get(TAG_COMPONENT) or component_of(scope, name), component_of(scope, name)))
    )


def may_own_part(scope: Scope, name: str, comment: str) -> bool:
    """Return whether an untaggable part of a distribution may belong to ``scope``; ``read_part_ownership`` decides."""
    owner = parse_ownership_comment(comment)["owner"]
    return owner == scope.owner or (owner is None and name.startswith(f"{scope.name_prefix}-"))


def read_part_ownership(aws: AwsReader, scope: Scope, comment: str, name: str, reference: str) -> Ownership:
    """Return the owner of an untaggable part of a distribution: its comment's, else the owner of what uses it.

    ``reference`` is how a distribution refers to it: an id or an ARN.
    Raises AwsError.
    """
    ownership = parse_ownership_comment(comment)
    component = _find_user(aws, scope, component_of(scope, name), reference) if ownership["owner"] is None else None
    return Ownership(owner=scope.owner, component=component, deletable=False) if component else ownership


def _find_user(aws: AwsReader, scope: Scope, component: str, reference: str) -> str | None:
    """Return the component of the distribution that uses a part; ``component`` is the one that the name suggests."""
    tags_by_id = list_tagged_distributions(aws, scope)
    for distribution_id in sorted(tags_by_id, key=lambda name: tags_by_id[name].get(TAG_COMPONENT) != component):
        response = read_distribution(aws, distribution_id)
        if response and reference in _iter_texts(response["Distribution"]["DistributionConfig"]):
            return tags_by_id[distribution_id].get(TAG_COMPONENT)
    return None


def _iter_texts(value: Any) -> Iterator[str]:
    if isinstance(value, Mapping):
        for item in value.values():
            yield from _iter_texts(item)
    elif isinstance(value, list | tuple):
        for item in value:
            yield from _iter_texts(item)
    elif isinstance(value, str):
        yield value


def refresh_etag(operation: str, **parameters: Any) -> Callable[[AwsReader, Mapping[str, Any]], Mapping[str, Any]]:
    """Return the ``refresh`` of a call whose ``IfMatch`` is the ETag that ``operation`` returns."""

    def refresh(aws: AwsReader, request: Mapping[str, Any]) -> Mapping[str, Any]:
        return {**request, "IfMatch": aws.get("cloudfront", operation, **parameters)["ETag"]}

    return refresh
