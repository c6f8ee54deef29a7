"""CloudFront distributions.  API: CloudFront CreateDistributionWithTags, GetDistributionConfig, UpdateDistribution.

Nothing about a distribution that we could choose is unique but its caller reference, which no listing tells: so its
comment bears our mark, and that is how it is found.  An update reads, merges and writes the version that it read.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator.ownership_tags import Marks, mapping, marks, pairs, phrase, read_phrase
from orchestrator.resources import Aws
from orchestrator.resources.cloudfront_distribution.config import compose, normalise, parse
from orchestrator.steps import Call, Compute, Steps, Wait
from orchestrator.values import Sensitive, Value, join
from orchestrator.vocabulary import Health, Live, Scope

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

GONE = ("NoSuchDistribution", "NoSuchResource")
SLOW = "CloudFront is still taking the change to its edge locations; wait, then run it again."
DEPLOYMENT_SECONDS = 1800.0


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """Found in the one listing of all distributions; then its configuration and its tags."""
    summary = _find(aws, scope, name, spec)
    if summary is None:
        return None
    answer = aws.get("cloudfront", "get_distribution_config", Id=summary["Id"], missing=GONE)
    if answer is None:
        return None
    listed = aws.get("cloudfront", "list_tags_for_resource", Resource=summary["ARN"], missing=GONE) or {}
    tags = mapping(listed.get("Tags", {}).get("Items"))
    config = answer["DistributionConfig"]
    found = {**normalise(parse(config)), "tags": tags}
    outputs = _outputs(summary["Id"], summary["ARN"], summary["DomainName"], found["aliases"])
    settled = summary["Status"] == "Deployed"
    return Live(
        found,
        outputs,
        {"id": summary["Id"], "config": config, "etag": answer["ETag"]},
        health=Health.HEALTHY if settled else Health.PROGRESSING,
        status=summary["Status"],
        **_marks(tags, config["Comment"]),
    )


def discover(aws: Aws, scope: Scope) -> Iterator[str]:
    """The tagging API names distributions by their ids, which tell nothing; their comments do."""
    for summary in aws.all("cloudfront", "list_distributions", "DistributionList.Items"):
        found = read_phrase(summary.get("Comment", ""))
        if found["owner"] == scope.owner and found["component"]:
            yield f"{scope.prefix}-{found['component'].removeprefix('cdn.')}"


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """A caller reference that is taken is ours of a moment ago: then the listing tells which distribution has it."""
    config = {**compose(spec, {}), "CallerReference": f"orchestrator/{scope.owner}/{name}"}
    tagged = {"DistributionConfig": config, "Tags": {"Items": pairs(spec["tags"])}}
    made = yield Call(
        "cloudfront",
        "create_distribution_with_tags",
        {"DistributionConfigWithTags": tagged},
        ok=("DistributionAlreadyExists",),
        retry=("InvalidOriginAccessControl", "InvalidFunctionAssociation"),  # made a moment ago
        patience=30.0,
    )
    listed = yield Call("cloudfront", "list_distributions", {})
    found = yield Compute("id and host name of the distribution", _identify, (made, listed, spec["comment"]))
    yield _deployed(found["id"])
    arn = join([f"arn:aws:cloudfront::{scope.account}:distribution/", found["id"]])
    return _outputs(found["id"], arn, found["host"], spec["aliases"])


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """What we do not speak of stays as it is at that moment."""
    key = live.private["id"]
    if "tags" in changed:
        body = {"Resource": live.outputs["arn"], "Tags": {"Items": pairs(spec["tags"])}}
        yield Call("cloudfront", "tag_resource", body)
    if changed - {"tags"}:
        now = yield Call("cloudfront", "get_distribution_config", {"Id": key})
        config = yield Compute("merge the changes into it", compose, (dict(spec), now["DistributionConfig"]))
        body = {"Id": key, "IfMatch": now["ETag"], "DistributionConfig": config}
        yield Call("cloudfront", "update_distribution", body)
        yield _deployed(key)
    return _outputs(key, live.outputs["arn"], live.outputs["host"], spec["aliases"])


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """CloudFront deletes only what is disabled, and known to be so at every edge."""
    key = live.private["id"]
    if live.spec["enabled"]:
        config = Sensitive({**live.private["config"], "Enabled": False})  # headers for origins may hold secrets
        body = {"Id": key, "IfMatch": live.private["etag"], "DistributionConfig": config}
        yield Call("cloudfront", "update_distribution", body, ok=GONE)
    disabled = yield _deployed(key)
    body = {"Id": key, "IfMatch": disabled.get("ETag", live.private["etag"])}
    yield Call("cloudfront", "delete_distribution", body, ok=GONE, retry=("DistributionNotDisabled",))
    return {}


def stuck(live: Live) -> str:
    """What to do about one that is not deployed yet."""
    return SLOW


def _deployed(key: Value) -> Wait:
    reading = Call("cloudfront", "get_distribution", {"Id": key})
    return Wait(
        reading, "Distribution.Status", ("Deployed",), gone=GONE, patience=DEPLOYMENT_SECONDS, stuck=SLOW, what="it"
    )


def _mark(scope: Scope, name: str) -> str:
    return phrase(scope, "cdn." + name.removeprefix(f"{scope.prefix}-"))


def _marks(tags: Mapping[str, str], comment: str) -> Marks:
    """The tags say whose it is; the comment says so of one whose tags somebody has removed."""
    found = marks(tags)
    return found if found["owner"] else read_phrase(comment)


def _find(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> dict[str, Any] | None:
    """The distribution with our mark, or else one that answers for one of our aliases, whoever made it."""
    summaries = aws.all("cloudfront", "list_distributions", "DistributionList.Items")
    marked = [each for each in summaries if each.get("Comment") == _mark(scope, name)]
    aliases = {alias for alias in spec.get("aliases", ()) if isinstance(alias, str)}
    aliased = [each for each in summaries if aliases.intersection(each.get("Aliases", {}).get("Items", ()))]
    return next(iter(marked or aliased), None)


def _outputs(key: Value, arn: Value, host: Value, aliases: list[Value]) -> dict[str, Value]:
    return {"id": key, "arn": arn, "host": host, "domain": aliases[0] if aliases else host}


def _identify(made: Mapping[str, Any], listed: Mapping[str, Any], mark: str) -> dict[str, str]:
    """Id and host name from the creation's own answer, or else from the listing."""
    summaries = listed.get("DistributionList", {}).get("Items", ())
    known = [made["Distribution"]] if made else [each for each in summaries if each.get("Comment") == mark]
    found = next(iter(known), {"Id": "not-listed-yet", "DomainName": ""})
    return {"id": found["Id"], "host": found["DomainName"]}
