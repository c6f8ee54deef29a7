"""The policy of a bucket.  API: S3 GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy.

Every bucket that exists has a policy here, perhaps one without statements: then AWS has none.  Whose it is, the
bucket's tags say.  Documents are compared by meaning: S3 gives them back in other words than it was told.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.resources import Aws
from orchestrator.resources._bucket_child import inside
from orchestrator.steps import Call, Steps
from orchestrator.values import Value, canonical, to_json
from orchestrator.vocabulary import Live, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"s3_bucket", "cloudfront_distribution"})
ARN = None

VERSION = "2012-10-17"
NO_POLICY = ("NoSuchBucketPolicy",)
BUSY = ("OperationAborted", "NoSuchBucket")
_ACCOUNT = re.compile(r"\d{12}")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Statements without order, every value a sorted list, an account by the ARN of its root."""
    return {**spec, "statements": canonical([_statement(each) for each in spec["statements"]])}


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """None only where there is no bucket of ours; a bucket without a policy has one without statements."""
    seen = inside(aws, scope, name, lambda where: aws.get("s3", "get_bucket_policy", missing=NO_POLICY, **where))
    if seen is None:
        return None
    answer, marks = seen
    statements = json.loads(answer["Policy"]).get("Statement", []) if answer else []
    found = {"statements": statements if isinstance(statements, list) else [statements]}
    return Live(normalise(found), {}, **marks)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Nothing to do where nothing is said."""
    if spec["statements"]:
        yield _put(scope, name, spec)
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """The document is replaced as a whole."""
    if spec["statements"]:
        yield _put(scope, name, spec)
    else:
        yield from delete(scope, name, live)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """The bucket stays."""
    where = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    yield Call("s3", "delete_bucket_policy", where, ok=(*NO_POLICY, "NoSuchBucket"), retry=("OperationAborted",))
    return {}


def _put(scope: Scope, name: str, spec: Mapping[str, Value]) -> Call:
    document = to_json({"Version": VERSION, "Statement": list(spec["statements"])})
    body = {"Bucket": name, "ExpectedBucketOwner": scope.account, "Policy": document}
    return Call("s3", "put_bucket_policy", body, retry=BUSY, patience=60.0)


def _statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _part(name, value) for name, value in statement.items()}


def _part(name: str, value: Any) -> Value:
    """One member of a statement: who, when, or a list of names."""
    match name:
        case "Sid" | "Effect":
            return value
        case "Principal" | "NotPrincipal" if value == "*":
            return {"AWS": ["*"]}
        case "Principal" | "NotPrincipal":
            return {kind: canonical([_principal(each) for each in _listed(names)]) for kind, names in value.items()}
        case "Condition":
            return {test: {key: _values(found) for key, found in keys.items()} for test, keys in value.items()}
        case _:
            return canonical(_listed(value))


def _listed(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _values(value: Any) -> list[Any]:
    """IAM writes truths and numbers as text."""
    return canonical([str(each).lower() if isinstance(each, bool | int) else each for each in _listed(value)])


def _principal(name: Any) -> Any:
    if isinstance(name, str) and _ACCOUNT.fullmatch(name):
        return f"arn:aws:iam::{name}:root"
    return name
