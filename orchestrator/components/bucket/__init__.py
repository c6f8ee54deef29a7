"""Expand a Bucket into an S3 bucket, its policy and its CORS rules.  Pure.

The policy and the rules are always resources, empty if the manifest sets none: manual additions then show as drift, and
what is removed from the manifest is removed from AWS.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from orchestrator import ownership_tags
from orchestrator.components import Grant, Stack
from orchestrator.components.bucket import cors_checks, lifecycle_checks, retention_checks, static_site
from orchestrator.components.bucket.lifecycle_actions import expiration_actions, transition_actions
from orchestrator.values import Value, WriteOnly
from orchestrator.vocabulary import Component, Resource, Scope

OBJECT_ACTIONS = ["s3:GetObject", "s3:PutObject", "s3:DeleteObject", "s3:AbortMultipartUpload"]
KMS_ACTIONS = ["kms:Decrypt", "kms:GenerateDataKey"]
HANDLE_PREFIX = "bucket."
CURRENT_MODEL_KEY = "ml-models/current.json"
"""Object that names the current model; ``ml.upload_model`` updates it."""

Finding = tuple[tuple[str | int, ...], str, str | None]


def expand(component: Component, stack: Stack) -> list[Resource]:
    """Return the bucket, its policy and its CORS rules, and the site and model that this deploy ships."""
    name = _bucket_name(component, stack.scope)
    bucket = f"s3_bucket.{component.name}"
    statements = [
        *_policy_statements(component, name, stack.grants_for(component, "cdn-read")),
        *_access_log_statements(name, stack.scope, stack.grants_for(component, "access-log")),
    ]
    rules = [_cors_rule(rule) for rule in component.spec["cors"]]
    specs: list[tuple[str, Mapping[str, Value], frozenset[str]]] = [
        ("s3_bucket", _bucket_spec(component, stack), frozenset(_access_log_dependencies(component, stack))),
        ("s3_bucket_policy", {"statements": statements}, frozenset({bucket})),
        ("s3_bucket_cors", {"rules": rules}, frozenset({bucket})),
    ]
    if (site_artefact := stack.artefacts.sites.get(component.handle)) is not None:
        specs.append(
            (
                "s3_site",
                static_site.build_spec(component, stack, site_artefact),
                frozenset(static_site.list_dependencies(component, stack)),
            )
        )
    resources = [
        Resource(resource_type, component.name, name, spec, component.handle, component.where, after, component.adopt)
        for resource_type, spec, after in specs
    ]
    if (version := stack.artefacts.models.get(component.handle)) is not None:
        pointer_spec: dict[str, Value] = {
            "version": version,
            "kept": f"{stack.release_bucket}/models/{name}/{version}.json",
        }
        if (origin := stack.artefacts.model_origins.get(component.handle)) is not None:
            pointer_spec["origin"] = WriteOnly(origin)
        where, after = component.where, frozenset({bucket})
        resources.append(
            Resource(
                "s3_model", component.name, f"{name}/{CURRENT_MODEL_KEY}", pointer_spec, component.handle, where, after
            )
        )
    return resources


def exports(component: Component, scope: Scope) -> dict[str, Value]:
    """Return its name, ARN and domain; all are final, because S3 uses the name we choose."""
    name = _bucket_name(component, scope)
    return {"name": name, "arn": f"arn:aws:s3:::{name}", "domain": f"{name}.s3.{scope.region}.amazonaws.com"}


def access(component: Component, scope: Scope) -> Iterator[Mapping[str, Any]]:
    """Yield the permissions to list, read and write below its prefixes.

    S3 answers 404 for a missing object only to those who may list; that check has no prefix, so a missing one passes.
    """
    arn = f"arn:aws:s3:::{_bucket_name(component, scope)}"
    prefixes = component.spec["prefixes"]
    keys = [f"{arn}/{prefix}/*" for prefix in prefixes] or [f"{arn}/*"]
    listed = [pattern for prefix in prefixes for pattern in (prefix, f"{prefix}/*")]
    condition = {"Condition": {"StringLikeIfExists": {"s3:prefix": listed}}} if prefixes else {}
    yield {"Effect": "Allow", "Action": ["s3:GetBucketLocation"], "Resource": [arn]}
    yield {"Effect": "Allow", "Action": ["s3:ListBucket"], "Resource": [arn], **condition}
    yield {"Effect": "Allow", "Action": OBJECT_ACTIONS, "Resource": keys}
    if "kmsKey" in component.spec:
        yield _key_statement(str(component.spec["kmsKey"]))


def _key_statement(key: str) -> Mapping[str, Any]:
    """Return the permission to use a key.  IAM knows keys by their id, so an alias needs a condition."""
    statement = {"Effect": "Allow", "Action": KMS_ACTIONS}
    arn, _, alias = key.partition(":alias/")
    if not alias:
        return {**statement, "Resource": [key]}
    condition = {"ForAnyValue:StringEquals": {"kms:ResourceAliases": f"alias/{alias}"}}
    return {**statement, "Resource": [f"{arn}:key/*"], "Condition": condition}


def grants(component: Component, scope: Scope) -> Iterator[Grant]:
    """Yield what the bucket of its access log has to allow, if the manifests declare that bucket."""
    log = component.spec.get("accessLog", {})
    if str(log.get("bucket", "")).startswith(HANDLE_PREFIX):
        source_arn = f"arn:aws:s3:::{_bucket_name(component, scope)}"
        yield Grant(log["bucket"], component.handle, "access-log", {"source_arn": source_arn, "prefix": log["prefix"]})


def check(component: Component, siblings: Mapping[str, Component]) -> Iterator[Finding]:
    """Yield settings that S3 rejects, or that behave unexpectedly."""
    spec = component.spec
    yield from static_site.check(component, siblings)
    yield from retention_checks.check(component, siblings)
    if "kmsKey" in spec and spec["encryption"] == "AES256":
        yield ("kmsKey",), "`kmsKey` has no effect with `encryption: AES256`", "set `encryption: aws:kms`"
    yield from lifecycle_checks.check(spec)
    yield from cors_checks.check(spec["cors"])
    yield from _check_access_log(component, siblings)


def _check_access_log(component: Component, siblings: Mapping[str, Component]) -> Iterator[Finding]:
    bucket = str(component.spec.get("accessLog", {}).get("bucket", ""))
    if bucket.startswith(HANDLE_PREFIX) and bucket not in siblings:
        declared = ", ".join(sorted(handle for handle in siblings if handle.startswith(HANDLE_PREFIX)))
        yield ("accessLog", "bucket"), f"no manifest declares the Bucket {bucket}", f"declared: {declared}"


def _bucket_name(component: Component, scope: Scope) -> str:
    name: str = component.spec.get("name") or scope.name_of(component)
    if component.spec["namespace"] == "account-regional":
        return f"{name}-{scope.account}-{scope.region}-an"
    return name


def _bucket_spec(component: Component, stack: Stack) -> dict[str, Value]:
    spec, scope = component.spec, stack.scope
    deletable = spec["deletionPolicy"] == "delete"
    bucket: dict[str, Value] = {
        "region": scope.region,
        "namespace": spec["namespace"],
        "versioning": spec["versioning"],
        "encryption": _encryption(spec),
        "public_access": spec["publicAccess"],
        "ownership": "BucketOwnerEnforced",
        "lifecycle": list(_lifecycle_rules(spec["lifecycle"])),
        "tags": {**spec["tags"], **ownership_tags.build_ownership_tags(scope, component.handle, deletable=deletable)},
    }
    if "accessLog" in spec:
        is_off = spec["accessLog"]["bucket"] == "none"
        target = {"bucket": _access_log_bucket(component, stack), "prefix": spec["accessLog"]["prefix"]}
        bucket["logging"] = {"bucket": None, "prefix": ""} if is_off else target
    if "notifications" in spec:
        bucket["notifications"] = spec["notifications"]
    return bucket


def _access_log_dependencies(component: Component, stack: Stack) -> Iterator[str]:
    """Yield the addresses of the log bucket and its policy, if the manifests declare it.

    S3 requires the bucket to exist, and logs nothing until its policy allows it.  A policy that depends on a CDN is
    left out: the CDN depends on the buckets that it reads, which would be a cycle.
    """
    log_bucket = _access_log_bucket(component, stack) if "accessLog" in component.spec else ""
    for other in stack.components.values():
        if other.kind == component.kind and other is not component and _bucket_name(other, stack.scope) == log_bucket:
            yield f"s3_bucket.{other.name}"
            if not stack.grants_for(other, "cdn-read"):
                yield f"s3_bucket_policy.{other.name}"


def _access_log_bucket(component: Component, stack: Stack) -> Value:
    """Return the name of the bucket that receives the access log, which the manifest may name by its handle."""
    bucket = str(component.spec["accessLog"]["bucket"])
    return stack.get_export(bucket, "name") if bucket.startswith(HANDLE_PREFIX) else bucket


def _access_log_statements(name: str, scope: Scope, grants: tuple[Grant, ...]) -> Iterator[dict[str, Value]]:
    """Yield what lets S3 write the access logs of other buckets into this one."""
    for grant in grants:
        yield {
            "Effect": "Allow",
            "Principal": {"Service": "logging.s3.amazonaws.com"},
            "Action": "s3:PutObject",
            "Resource": f"arn:aws:s3:::{name}/{grant.data['prefix']}*",
            "Condition": {
                "ArnLike": {"aws:SourceArn": grant.data["source_arn"]},
                "StringEquals": {"aws:SourceAccount": scope.account},
            },
        }


def _encryption(spec: Mapping[str, Value]) -> dict[str, Value]:
    if spec["encryption"] == "AES256":
        return {"algorithm": "AES256"}
    return {"algorithm": spec["encryption"], "bucket_key": spec["bucketKey"], "key": spec.get("kmsKey")}


def _lifecycle_rules(spec: Mapping[str, Value]) -> Iterator[dict[str, Value]]:
    """Yield the rule for all objects, then one rule per prefix."""
    default_actions = expiration_actions(spec)
    if spec["removeExpiredDeleteMarkers"] and "expireOldVersionsAfterDays" in spec:
        default_actions["Expiration"] = {"ExpiredObjectDeleteMarker": True}
    if default_actions:
        yield {"Filter": {"Prefix": ""}, "Status": "Enabled", **default_actions}
    for rule in spec["rules"]:
        yield {
            "Filter": {"Prefix": rule["prefix"]},
            "Status": "Enabled",
            **expiration_actions(rule),
            **transition_actions(rule),
        }


def _cors_rule(rule: Mapping[str, Value]) -> dict[str, Value]:
    return {
        "AllowedOrigins": rule["origins"],
        "AllowedMethods": rule["methods"],
        "AllowedHeaders": rule["headers"],
        "ExposeHeaders": rule["exposeHeaders"],
        "MaxAgeSeconds": rule["maxAgeSeconds"],
    }


def _policy_statements(component: Component, name: str, grants: tuple[Grant, ...]) -> list[dict[str, Value]]:
    arn = f"arn:aws:s3:::{name}"
    statements = [dict(statement) for statement in component.spec["policy"]]
    if component.spec["tlsOnly"]:
        statements.append(
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
        statements.append(
            _cdn_read_statement(distribution, "s3:GetObject", [f"{arn}/{key}" for key in dict.fromkeys(keys)])
        )
        statements.append(
            _cdn_read_statement(distribution, "s3:ListBucket", [arn])
        )  # Without it, a missing object is a 403, not a 404.
    return statements


def _cdn_read_statement(distribution: Value, action: str, arns: list[str]) -> dict[str, Value]:
    return {
        "Effect": "Allow",
        "Principal": {"Service": "cloudfront.amazonaws.com"},
        "Action": action,
        "Resource": arns,
        "Condition": {"StringEquals": {"AWS:SourceArn": distribution}},
    }
