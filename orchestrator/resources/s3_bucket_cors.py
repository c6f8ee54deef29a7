"""Who may use a bucket from a browser.  API: S3 GetBucketCors, PutBucketCors, DeleteBucketCors.

Apart from the bucket, because its rules name the CDN, which reads from the bucket.  Whose it is, the bucket's tags say.
"""

from __future__ import annotations

from collections.abc import Mapping

from orchestrator.resources import Aws
from orchestrator.resources._bucket_child import inside
from orchestrator.steps import Call, Steps
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"s3_bucket", "cloudfront_distribution"})
ARN = None

NO_CORS = ("NoSuchCORSConfiguration",)
NO_RULES = (*NO_CORS, "NoSuchBucket")
BUSY = ("OperationAborted", "NoSuchBucket")
LISTS = ("AllowedOrigins", "AllowedMethods", "AllowedHeaders", "ExposeHeaders")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """The order of rules counts (the first that fits wins), that of their members does not; ids mean nothing."""
    return {**spec, "rules": [_rule(rule) for rule in spec["rules"]]}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """None only where there is no bucket of ours; a bucket without CORS has no rules."""
    seen = inside(aws, scope, name, lambda where: aws.get("s3", "get_bucket_cors", missing=NO_CORS, **where))
    if seen is None:
        return None
    answer, marks = seen
    found = {"rules": (answer or {}).get("CORSRules", [])}
    return Live(normalise(found), {}, **marks)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Nothing to do where nothing is said."""
    if spec["rules"]:
        yield _put(scope, name, spec)
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """The rules are replaced as a whole."""
    if spec["rules"]:
        yield _put(scope, name, spec)
    else:
        yield from delete(scope, name, live)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """The bucket stays."""
    where = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    yield Call("s3", "delete_bucket_cors", where, ok=NO_RULES, retry=("OperationAborted",))
    return {}


def _put(scope: Scope, name: str, spec: Mapping[str, Value]) -> Call:
    rules = {"CORSRules": list(spec["rules"])}
    body = {"Bucket": name, "ExpectedBucketOwner": scope.account, "CORSConfiguration": rules}
    return Call("s3", "put_bucket_cors", body, retry=BUSY, patience=60.0)


def _rule(rule: Mapping[str, Value]) -> dict[str, Value]:
    shaped = {key: value for key, value in rule.items() if key not in ("ID", *LISTS)}
    return shaped | {key: canonical(list(rule[key])) for key in LISTS if rule.get(key)}
