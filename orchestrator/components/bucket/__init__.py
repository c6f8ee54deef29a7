"""Bucket: an S3 bucket, its policy and its CORS rules.

The policy and the rules always exist as resources, without content where nothing is said: so what a person adds by
hand shows, and what a manifest takes back goes.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator import ownership_tags
from orchestrator.components import Grant, Stack
from orchestrator.components.bucket import retention_checks, static_site
from orchestrator.values import Value
from orchestrator.vocabulary import Component, Resource, Scope

STATEMENTS_OF_OBJECTS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
KMS_ACTIONS = ["kms:Decrypt", "kms:GenerateDataKey"]
EARLIEST_MOVE = {"STANDARD_IA": 30, "ONEZONE_IA": 30}
LONGEST_NAME = 63
POINTER = "ml-models/current.json"
"""Says which model is the current one; ``ml.upload_model`` moves it."""

Problem = tuple[tuple[str | int, ...], str, str | None]


def expand(component: Component, stack: Stack) -> list[Resource]:
    """The bucket, after the one that gets its log; its policy after the CDN that reads it; its CORS rules likewise."""
    name = _name(component, stack.scope)
    bucket = f"s3_bucket.{component.name}"
    statements = _statements(component, name, stack.grants(component, "cdn-read"))
    rules = [_cors_rule(rule) for rule in component.spec["cors"]]
    made: list[tuple[str, Mapping[str, Value], frozenset[str]]] = [
        ("s3_bucket", _bucket(component, stack.scope), frozenset(_log_target(component, stack))),
        ("s3_bucket_policy", {"statements": statements}, frozenset({bucket})),
        ("s3_bucket_cors", {"rules": rules}, frozenset({bucket})),
    ]
    if (shipped := stack.artefacts.sites.get(component.handle)) is not None:
        made.append(
            ("s3_site", static_site.spec(component, stack, shipped), frozenset(static_site.after(component, stack)))
        )
    resources = [
        Resource(kind, component.name, name, spec, component.handle, component.where, after, component.adopt)
        for kind, spec, after in made
    ]
    if (version := stack.artefacts.models.get(component.handle)) is not None:
        pointer = {"version": version, "kept": f"{stack.release_bucket}/models/{name}/{version}.json"}
        where, after = component.where, frozenset({bucket})
        resources.append(
            Resource("s3_model", component.name, f"{name}/{POINTER}", pointer, component.handle, where, after)
        )
    return resources


def exports(component: Component, scope: Scope) -> dict[str, Value]:
    """All final: S3 lets us choose the name."""
    name = _name(component, scope)
    return {"name": name, "arn": f"arn:aws:s3:::{name}", "domain": f"{name}.s3.{scope.region}.amazonaws.com"}


def access(component: Component, scope: Scope) -> Iterator[Mapping[str, Any]]:
    """Reading and writing under the prefixes.  Listing has no condition: without it a missing object is a 403."""
    arn = f"arn:aws:s3:::{_name(component, scope)}"
    keys = [f"{arn}/{prefix}/*" for prefix in component.spec["prefixes"]] or [f"{arn}/*"]
    yield {"Effect": "Allow", "Action": ["s3:GetBucketLocation", "s3:ListBucket"], "Resource": [arn]}
    yield {"Effect": "Allow", "Action": STATEMENTS_OF_OBJECTS, "Resource": keys}
    if "kmsKey" in component.spec:
        yield {"Effect": "Allow", "Action": KMS_ACTIONS, "Resource": [component.spec["kmsKey"]]}


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Problem]:
    """What S3 refuses, or understands otherwise than one would think."""
    spec = component.spec
    yield from static_site.check(component, siblings)
    yield from retention_checks.check(component, siblings)
    if "kmsKey" in spec and spec["encryption"] == "AES256":
        yield ("kmsKey",), "a KMS key does nothing with `encryption: AES256`", "say `encryption: aws:kms`"
    lifecycle = spec["lifecycle"]
    yield from _check_versions(("lifecycle",), lifecycle, spec["versioning"])
    prefixes: set[str] = set()
    for index, rule in enumerate(lifecycle["rules"]):
        path = ("lifecycle", "rules", index)
        yield from _check_rule(path, rule)
        yield from _check_versions(path, rule, spec["versioning"])
        if rule["prefix"] in prefixes:
            yield (*path, "prefix"), f"there is a rule for `{rule['prefix']}` already", "put both into one rule"
        prefixes.add(rule["prefix"])


def _name(component: Component, scope: Scope) -> str:
    name: str = component.spec.get("name") or f"{scope.prefix}-{component.name}"
    if component.spec["namespace"] == "account-regional":
        return f"{name}-{scope.account}-{scope.region}-an"
    return name


def _bucket(component: Component, scope: Scope) -> dict[str, Value]:
    spec = component.spec
    deletable = spec["deletionPolicy"] == "delete"
    found: dict[str, Value] = {
        "region": scope.region,
        "namespace": spec["namespace"],
        "versioning": spec["versioning"],
        "encryption": _encryption(spec),
        "public_access": spec["publicAccess"],
        "ownership": "BucketOwnerEnforced",
        "lifecycle": list(_lifecycle(spec["lifecycle"])),
        "tags": {**spec["tags"], **ownership_tags.claim(scope, component.handle, deletable=deletable)},
    }
    if "accessLog" in spec:
        found["logging"] = {"bucket": spec["accessLog"]["bucket"], "prefix": spec["accessLog"]["prefix"]}
    if "notifications" in spec:
        found["notifications"] = spec["notifications"]
    return found


def _log_target(component: Component, stack: Stack) -> Iterator[str]:
    """The bucket of ours that gets the log: S3 wants it to be there, and logs nothing until its policy lets the log in.

    A policy that waits for a CDN is not waited for: the CDN waits for the buckets that it reads.
    """
    wanted = component.spec.get("accessLog", {}).get("bucket")
    for other in stack.components.values():
        if other.kind == component.kind and other is not component and _name(other, stack.scope) == wanted:
            yield f"s3_bucket.{other.name}"
            if not stack.grants(other, "cdn-read"):
                yield f"s3_bucket_policy.{other.name}"


def _encryption(spec: Mapping[str, Value]) -> dict[str, Value]:
    if spec["encryption"] == "AES256":
        return {"algorithm": "AES256"}
    key = {"key": spec["kmsKey"]} if "kmsKey" in spec else {}
    return {"algorithm": spec["encryption"], "bucket_key": spec["bucketKey"], **key}


def _lifecycle(spec: Mapping[str, Value]) -> Iterator[dict[str, Value]]:
    """One rule for all objects, and one a prefix."""
    general = _actions(spec)
    if spec["removeExpiredDeleteMarkers"] and "expireOldVersionsAfterDays" in spec:
        general["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if general:
        yield {"Filter": {"Prefix": ""}, "Status": "Enabled", **general}
    for rule in spec["rules"]:
        yield {"Filter": {"Prefix": rule["prefix"]}, "Status": "Enabled", **_actions(rule), **_moves(rule)}


def _actions(rule: Mapping[str, Value]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    if "expireAfterDays" in rule:
        found["Expiration"] = {"Days": rule["expireAfterDays"]}
    if "expireOldVersionsAfterDays" in rule:
        kept = {"NewerNoncurrentVersions": rule["keepNewestVersions"]} if "keepNewestVersions" in rule else {}
        found["NoncurrentVersionExpiration"] = {"NoncurrentDays": rule["expireOldVersionsAfterDays"], **kept}
    if "abortUnfinishedUploadsAfterDays" in rule:
        found["AbortIncompleteMultipartUpload"] = {"DaysAfterInitiation": rule["abortUnfinishedUploadsAfterDays"]}
    return found


def _moves(rule: Mapping[str, Value]) -> dict[str, Value]:
    found: dict[str, Value] = {}
    members = (
        ("transitions", "Transitions", "Days"),
        ("oldVersionTransitions", "NoncurrentVersionTransitions", "NoncurrentDays"),
    )
    for ours, theirs, days in members:
        moves = [{days: each["afterDays"], "StorageClass": each["storageClass"]} for each in rule[ours]]
        if moves:
            found[theirs] = moves
    return found


def _cors_rule(rule: Mapping[str, Value]) -> dict[str, Value]:
    return {
        "AllowedOrigins": rule["origins"],
        "AllowedMethods": rule["methods"],
        "AllowedHeaders": rule["headers"],
        "ExposeHeaders": rule["exposeHeaders"],
        "MaxAgeSeconds": rule["maxAgeSeconds"],
    }


def _statements(component: Component, name: str, grants: tuple[Grant, ...]) -> list[dict[str, Value]]:
    arn = f"arn:aws:s3:::{name}"
    found = [dict(statement) for statement in component.spec["policy"]]
    if component.spec["tlsOnly"]:
        found.append(
            {
                "Sid": "TlsOnly",
                "Effect": "Deny",
                "Principal": "*",
                "Action": "s3:*",
                "Resource": [arn, f"{arn}/*"],
                "Condition": {"Bool": {"aws:SecureTransport": "false"}},
            }
        )
    patterns: dict[Value, list[str]] = {}
    for grant in grants:
        patterns.setdefault(grant.data["distribution_arn"], []).append(grant.data["pattern"])
    for distribution, keys in patterns.items():
        found.append(_read(distribution, "s3:GetObject", [f"{arn}/{key}" for key in dict.fromkeys(keys)]))
        found.append(_read(distribution, "s3:ListBucket", [arn]))  # without it a missing object is a 403, not a 404
    return found


def _read(distribution: Value, action: str, arns: list[str]) -> dict[str, Value]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": action,
        "Resource": arns,
        "Condition": {"StringEquals": {"AWS:SourceArn": distribution}},
    }


def _check_versions(path: tuple[str | int, ...], rule: Mapping[str, Value], versioning: bool) -> Iterator[Problem]:
    if "keepNewestVersions" in rule and "expireOldVersionsAfterDays" not in rule:
        hint = "say `expireOldVersionsAfterDays` too"
        yield (*path, "keepNewestVersions"), "S3 keeps newest versions only where old ones expire", hint
    if "expireOldVersionsAfterDays" in rule and not versioning:
        hint = "say `versioning: true`, or `expireAfterDays` to delete the objects themselves"
        yield (*path, "expireOldVersionsAfterDays"), "a bucket that is not versioned has no old versions", hint


def _check_rule(path: tuple[str | int, ...], rule: Mapping[str, Value]) -> Iterator[Problem]:
    if not _actions(rule) and not _moves(rule):
        yield path, "a rule that does nothing is refused by S3", "say what becomes of the objects, or drop the rule"
    lasts = {
        "transitions": rule.get("expireAfterDays"),
        "oldVersionTransitions": rule.get("expireOldVersionsAfterDays"),
    }
    for member, last in lasts.items():
        for index, move in enumerate(rule[member]):
            place = (*path, member, index, "afterDays")
            least = EARLIEST_MOVE.get(move["storageClass"], 0)
            if move["afterDays"] < least:
                yield place, f"objects move to {move['storageClass']} after {least} days at the earliest", None
            if last is not None and last <= move["afterDays"]:
                yield (
                    place,
                    f"objects are gone after {last} days, before they would move",
                    "move earlier, or keep longer",
                )
