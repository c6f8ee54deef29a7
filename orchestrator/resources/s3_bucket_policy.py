"""Manage the policy of a bucket. API: S3 GetBucketPolicy, PutBucketPolicy, DeleteBucketPolicy.

Every existing bucket has a policy here; one without statements means that AWS has none. The bucket's tags determine its
owner. Documents are compared by meaning, because S3 returns them in another form.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from orchestrator.resources import AwsReader
from orchestrator.resources._bucket_child import read_bucket_setting
from orchestrator.steps import ApiCall, Steps
from orchestrator.values import Value, sort_canonically, to_json
from orchestrator.vocabulary import LiveResource, Scope

IMMUTABLE: frozenset[str] = frozenset()
STATEFUL = False
USES = frozenset({"s3_bucket", "cloudfront_distribution"})
ARN = None

POLICY_VERSION = "2012-10-17"
NO_POLICY_CODES = ("NoSuchBucketPolicy",)
BUSY_CODES = ("OperationAborted", "NoSuchBucket")
_ACCOUNT_ID = re.compile(r"\d{12}")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec in canonical form: statements sorted, values as sorted lists, accounts as their root ARN."""
    return {
        **spec,
        "statements": sort_canonically([_normalise_statement(statement) for statement in spec["statements"]]),
    }


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the policy, without statements if the bucket has none; None only if this account has no such bucket."""
    bucket_setting = read_bucket_setting(
        aws,
        scope,
        name,
        lambda bucket_params: aws.get("s3", "get_bucket_policy", missing=NO_POLICY_CODES, **bucket_params),
    )
    if bucket_setting is None:
        return None
    response, ownership = bucket_setting
    statements = json.loads(response["Policy"]).get("Statement", []) if response else []
    live_spec = {"statements": statements if isinstance(statements, list) else [statements]}
    return LiveResource(normalise(live_spec), {}, **ownership)


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Write the policy, if it has statements."""
    if spec["statements"]:
        yield _put_call(scope, name, spec)
    return {}


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Replace the whole policy."""
    if spec["statements"]:
        yield _put_call(scope, name, spec)
    else:
        yield from delete(scope, name, live)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the policy; the bucket is kept."""
    bucket_params = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    yield ApiCall(
        "s3",
        "delete_bucket_policy",
        bucket_params,
        ok_codes=(*NO_POLICY_CODES, "NoSuchBucket"),
        retry_codes=("OperationAborted",),
    )
    return {}


def _put_call(scope: Scope, name: str, spec: Mapping[str, Value]) -> ApiCall:
    document = to_json({"Version": POLICY_VERSION, "Statement": list(spec["statements"])})
    request = {"Bucket": name, "ExpectedBucketOwner": scope.account, "Policy": document}
    return ApiCall("s3", "put_bucket_policy", request, retry_codes=BUSY_CODES, timeout_seconds=60.0)


def _normalise_statement(statement: Mapping[str, Any]) -> dict[str, Any]:
    return {name: _normalise_member(name, value) for name, value in statement.items()}


def _normalise_member(name: str, value: Any) -> Value:
    """Return one member of a statement in canonical form."""
    match name:
        case "Sid" | "Effect":
            return value
        case "Principal" | "NotPrincipal" if value == "*":
            return {"AWS": ["*"]}
        case "Principal" | "NotPrincipal":
            return {
                principal_type: sort_canonically(
                    [_normalise_principal(principal) for principal in _to_list(principals)]
                )
                for principal_type, principals in value.items()
            }
        case "Condition":
            return {
                operator_name: {key: _normalise_values(expected) for key, expected in values_by_key.items()}
                for operator_name, values_by_key in value.items()
            }
        case _:
            return sort_canonically(_to_list(value))


def _to_list(value: Any) -> list[Any]:
    return list(value) if isinstance(value, list | tuple) else [value]


def _normalise_values(value: Any) -> list[Any]:
    """Return condition values as a sorted list; IAM stores booleans and numbers as text."""
    return sort_canonically([str(item).lower() if isinstance(item, bool | int) else item for item in _to_list(value)])


def _normalise_principal(name: Any) -> Any:
    if isinstance(name, str) and _ACCOUNT_ID.fullmatch(name):
        return f"arn:aws:iam::{name}:root"
    return name
