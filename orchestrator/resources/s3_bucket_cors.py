"""Manage the CORS rules of a bucket. API: S3 GetBucketCors, PutBucketCors, DeleteBucketCors.

Separate from the bucket, because its rules name the CDN, which reads from the bucket. The bucket's tags determine its
owner.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.resources import AwsReader
from orchestrator.resources._bucket_child import read_bucket_setting
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"s3_bucket", "cloudfront_distribution"})
ARN = None

NO_CORS_CODES = ("NoSuchCORSConfiguration",)
NOTHING_TO_DELETE_CODES = (*NO_CORS_CODES, "NoSuchBucket")
BUSY_CODES = ("OperationAborted", "NoSuchBucket")
UNORDERED_MEMBERS = ("AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposeHeaders")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with the members of each rule sorted and ids removed; the order of rules matters and is kept."""
    return {**spec, "rules": [_normalise_rule(rule) for rule in spec["rules"]]}


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the rules, empty if the bucket has none; None only if this account has no such bucket."""
    bucket_setting = read_bucket_setting(
        aws, scope, name, lambda bucket_params: aws.get("s3", "get_bucket_cors", missing=NO_CORS_CODES, **bucket_params)
    )
    if bucket_setting is None:
        return None
    response, ownership = bucket_setting
    live_spec = {"rules": (response or {}).get("CORSRules", [])}
    return LiveResource(normalise(live_spec), {}, **ownership)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Write the rules, if there are any."""
    if spec["rules"]:
        yield _put_call(scope, name, spec)
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Replace all rules."""
    if spec["rules"]:
        yield _put_call(scope, name, spec)
    else:
        yield from delete(scope, name, live)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the rules; the bucket is kept."""
    bucket_params = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    yield ApiCall(
        "s3", "delete_bucket_cors", bucket_params, ok_codes=NOTHING_TO_DELETE_CODES, retry_codes=("OperationAborted",)
    )
    return {}


def _put_call(scope: Scope, name: str, spec: Mapping[str, Value]) -> ApiCall:
    rules = {"CORSRules": list(spec["rules"])}
    request = {"Bucket": name, "ExpectedBucketOwner": scope.account, "CORSConfiguration": rules}
    return ApiCall("s3", "put_bucket_cors", request, retry_codes=BUSY_CODES, timeout_seconds=60.0)


def _normalise_rule(rule: Mapping[str, Value]) -> dict[str, Value]:
    normalised = {key: value for key, value in rule.items() if key not in ("ID", *UNORDERED_MEMBERS)}
    return normalised | {key: sort_canonically(list(rule[key])) for key in UNORDERED_MEMBERS if rule.get(key)}
