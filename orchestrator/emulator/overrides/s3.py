"""Override S3 bucket configuration: defaults of a new bucket, exact read-back, refused policies.

Objects stay in the backend (``s3_objects.py``). Configuration that AWS stores as given (encryption,
lifecycle, policy) is kept here, so that a read returns all of it; the call is still forwarded, and the backend
decides whether a bucket exists.
"""

from __future__ import annotations

import json
import secrets
from copy import deepcopy
from dataclasses import replace
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.overrides.s3_objects import S3Objects
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState

_DEFAULT_ENCRYPTION: Params = {
    "Rules": [
        {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
            "BucketKeyEnabled": False,
            "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
        }
    ]
}
_DEFAULT_PUBLIC_ACCESS_BLOCK = {
    "BlockPublicAcls": True,
    "IgnorePublicAcls": True,
    "BlockPublicPolicy": True,
    "RestrictPublicBuckets": True,
}
_MIN_OBJECT_SIZE_KEY = "TransitionDefaultMinimumObjectSize"
_DEFAULT_MIN_OBJECT_SIZE = "all_storage_classes_128K"


class S3(S3Objects):
    """Overrides bucket configuration, on both backends."""

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._lifecycle: dict[str, Params] = {}
        self._policies: dict[str, str] = {}
        self._regions: dict[tuple[str, str], str] = {}
        self._logging: dict[str, Params] = {}
        self._event_bridge: dict[str, bool] = {}

    def create_bucket(self, params: Params, context: CallContext) -> Response:
        """Create a bucket with encryption, public access blocked, ACLs disabled, and its tags."""
        response = context.forward_raw()
        if response.status >= 300:
            return response
        bucket = params["Bucket"]
        ownership = params.get("ObjectOwnership", "BucketOwnerEnforced")
        self._forget_bucket(bucket)
        self._call(
            context, "PutPublicAccessBlock", Bucket=bucket, PublicAccessBlockConfiguration=_DEFAULT_PUBLIC_ACCESS_BLOCK
        )
        rules = {"Rules": [{"ObjectOwnership": ownership}]}
        self._call(context, "PutBucketOwnershipControls", Bucket=bucket, OwnershipControls=rules)
        if tags := (params.get("CreateBucketConfiguration") or {}).get("Tags"):
            self._call(context, "PutBucketTagging", Bucket=bucket, Tagging={"TagSet": tags})
        return replace(response, headers=(*response.headers, ("x-amz-bucket-arn", f"arn:aws:s3:::{bucket}")))

    def list_buckets(self, params: Params, context: CallContext) -> Params:
        """List buckets; include their regions if the request has any parameter, such as a page size."""
        response = context.forward(params)
        buckets = response.get("Buckets") or []
        if params:
            buckets = [{**bucket, "BucketRegion": self._get_bucket_region(bucket, context)} for bucket in buckets]
        return {**response, "Buckets": buckets}

    def _get_bucket_region(self, bucket: Params, context: CallContext) -> str:
        """Return the region of a bucket, cached for good: a bucket never moves."""
        key = bucket["Name"], str(bucket["CreationDate"])
        if key not in self._regions:
            response = self._call(context, "HeadBucket", Bucket=bucket["Name"])
            self._regions[key] = response.get("BucketRegion") or "us-east-1"
        return self._regions[key]

    def delete_bucket(self, params: Params, context: CallContext) -> Response:
        """Delete a bucket and the configuration kept here; refuse one that holds objects or versions."""
        bucket = params["Bucket"]
        response = context.forward_raw()
        if response.status < 300:
            self._forget_bucket(bucket)
        elif b"BucketNotEmpty" in response.body and self._call(context, "GetBucketVersioning", Bucket=bucket).get(
            "Status"
        ):
            message = "The bucket you tried to delete is not empty. You must delete all versions in the bucket."
            raise AwsError("BucketNotEmpty", message, 409, BucketName=bucket)
        return response

    def get_bucket_encryption(self, params: Params, context: CallContext) -> Params:
        """Return the encryption, SSE-S3 by default: it is never absent."""
        self._require_bucket(params, context)
        configuration = self.encryption_by_bucket.get(params["Bucket"], _DEFAULT_ENCRYPTION)
        return {"ServerSideEncryptionConfiguration": deepcopy(configuration)}

    def put_bucket_encryption(self, params: Params, context: CallContext) -> Params:
        """Store the encryption as given, with the bucket key off unless requested."""
        self._require_bucket(params, context)
        configuration = deepcopy(params["ServerSideEncryptionConfiguration"])
        for rule in configuration["Rules"]:
            rule.setdefault("BucketKeyEnabled", False)
            rule.setdefault("BlockedEncryptionTypes", {"EncryptionType": ["SSE-C"]})
        self.encryption_by_bucket[params["Bucket"]] = configuration
        return {}

    def delete_bucket_encryption(self, params: Params, context: CallContext) -> Params:
        """Reset the encryption to SSE-S3."""
        self._require_bucket(params, context)
        self.encryption_by_bucket.pop(params["Bucket"], None)
        return {}

    def put_bucket_lifecycle_configuration(self, params: Params, context: CallContext) -> Params:
        """Store the rules after the backend has validated them; give rules without an ID one."""
        context.forward(params)
        rules = deepcopy(params.get("LifecycleConfiguration", {}).get("Rules", []))
        for rule in rules:
            rule.setdefault("ID", secrets.token_urlsafe(36)[:48])
        min_object_size = params.get(_MIN_OBJECT_SIZE_KEY, _DEFAULT_MIN_OBJECT_SIZE)
        self._lifecycle[params["Bucket"]] = {"Rules": rules, _MIN_OBJECT_SIZE_KEY: min_object_size}
        return {_MIN_OBJECT_SIZE_KEY: min_object_size}

    def get_bucket_lifecycle_configuration(self, params: Params, context: CallContext) -> Params:
        """Return the rules as they were put."""
        response = context.forward(params)
        return deepcopy(self._lifecycle.get(params["Bucket"], response))

    def delete_bucket_lifecycle(self, params: Params, context: CallContext) -> Params:
        """Delete the rules."""
        context.forward(params)
        self._lifecycle.pop(params["Bucket"], None)
        return {}

    def put_bucket_logging(self, params: Params, context: CallContext) -> Params:
        """Set access logging; refuse a target bucket that does not exist. The target's policy is not checked."""
        self._require_bucket(params, context)
        status = params["BucketLoggingStatus"]
        if target := status.get("LoggingEnabled"):
            try:
                self._call(context, "HeadBucket", Bucket=target["TargetBucket"])
            except AwsError as error:
                message = "The target bucket for logging does not exist"
                raise AwsError("InvalidTargetBucketForLogging", message, 400) from error
        self._logging[params["Bucket"]] = deepcopy(status)
        return {}

    def get_bucket_logging(self, params: Params, context: CallContext) -> Params:
        """Return the logging configuration as it was put; nothing if logging is off."""
        self._require_bucket(params, context)
        return deepcopy(self._logging.get(params["Bucket"], {}))

    def put_bucket_notification_configuration(self, params: Params, context: CallContext) -> Params:
        """Set notifications; keep here whether EventBridge is on: moto drops its empty element."""
        response = context.forward(params)
        self._event_bridge[params["Bucket"]] = "EventBridgeConfiguration" in params["NotificationConfiguration"]
        return response

    def get_bucket_notification_configuration(self, params: Params, context: CallContext) -> Params:
        """Return the notifications as they were put."""
        response = context.forward(params)
        response.pop("EventBridgeConfiguration", None)
        return {**response, "EventBridgeConfiguration": {}} if self._event_bridge.get(params["Bucket"]) else response

    def put_bucket_policy(self, params: Params, context: CallContext) -> Params:
        """Set the policy; refuse a public one while BlockPublicPolicy is on.

        The policy is not forwarded to moto, which ignores conditions and would deny every upload to a bucket with a
        TLS-only policy. MiniStack gets it without the statements that deny plain HTTP: its distributions read its
        buckets over HTTP, where AWS's use TLS.
        """
        self._require_bucket(params, context)
        policy = _parse_policy(params["Policy"])
        if is_public(policy) and self._blocks_public_policy(params["Bucket"], context):
            arn = f"arn:aws:iam::{self.state.account}:user/orchestrator"
            message = (
                f"User: {arn} is not authorized to perform: s3:PutBucketPolicy on resource:"
                f' "arn:aws:s3:::{params["Bucket"]}" because public policies are prevented by the BlockPublicPolicy'
                " setting in S3 Block Public Access."
            )
            raise AwsError("AccessDenied", message, 403)
        if self.state.backend.name != "moto":
            context.forward({**params, "Policy": _remove_tls_statements(policy)})
        self._policies[params["Bucket"]] = params["Policy"]
        return {}

    def get_bucket_policy(self, params: Params, context: CallContext) -> Params:
        """Return the policy as it was put."""
        return {"Policy": self._get_policy_text(params, context)}

    def get_bucket_policy_status(self, params: Params, context: CallContext) -> Params:
        """Return whether the policy is public."""
        return {"PolicyStatus": {"IsPublic": is_public(_parse_policy(self._get_policy_text(params, context)))}}

    def delete_bucket_policy(self, params: Params, context: CallContext) -> Params:
        """Delete the policy; succeed if there is none."""
        self._require_bucket(params, context)
        if self._policies.pop(params["Bucket"], None) is not None and self.state.backend.name != "moto":
            context.forward(params)
        return {}

    def _get_policy_text(self, params: Params, context: CallContext) -> str:
        self._require_bucket(params, context)
        policy = self._policies.get(params["Bucket"])
        if policy is None:
            message = "The bucket policy does not exist"
            raise AwsError("NoSuchBucketPolicy", message, 404, BucketName=params["Bucket"])
        return policy

    def _require_bucket(self, params: Params, context: CallContext) -> None:
        """Raise AwsError NoSuchBucket unless the backend has the bucket."""
        try:
            self._call(context, "HeadBucket", Bucket=params["Bucket"])
        except AwsError as error:
            message = "The specified bucket does not exist"
            raise AwsError("NoSuchBucket", message, 404, BucketName=params["Bucket"]) from error

    def _blocks_public_policy(self, bucket: str, context: CallContext) -> bool:
        try:
            response = self._call(context, "GetPublicAccessBlock", Bucket=bucket)
        except AwsError:
            return False
        return bool(response["PublicAccessBlockConfiguration"].get("BlockPublicPolicy"))

    def _call(self, context: CallContext, operation: str, **params: Any) -> Params:
        return self.state.call("s3", operation, context.region, **params)

    def _forget_bucket(self, bucket: str) -> None:
        for stored in (self.encryption_by_bucket, self._lifecycle, self._policies, self._logging, self._event_bridge):
            stored.pop(bucket, None)


def _parse_policy(policy: str) -> Params:
    try:
        parsed: Any = json.loads(policy)
    except ValueError as error:
        raise AwsError("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'", 400) from error
    statements = parsed.get("Statement") if isinstance(parsed, dict) else None
    if not statements:
        raise AwsError("MalformedPolicy", "Missing required field Statement", 400)
    for statement in [statements] if isinstance(statements, dict) else statements:
        if not {"Effect", "Principal", "Action", "Resource"} <= {name.removeprefix("Not") for name in statement}:
            raise AwsError("MalformedPolicy", "Missing required field in policy statement", 400)
    return dict(parsed)


def is_public(policy: Params) -> bool:
    """Return whether a policy allows anyone anything without a condition, as S3 Block Public Access judges it."""
    statements = policy["Statement"]
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal")
        aws_principal = principal.get("AWS") if isinstance(principal, dict) else principal
        is_everyone = aws_principal == "*" or (isinstance(aws_principal, list) and "*" in aws_principal)
        if statement["Effect"] == "Allow" and is_everyone and not statement.get("Condition"):
            return True
    return False


def _remove_tls_statements(policy: Any) -> str:
    """Return a policy without the statements that deny everything but TLS."""
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    remaining = [
        statement
        for statement in statements
        if statement["Effect"] != "Deny" or not _is_tls_condition(statement.get("Condition") or {})
    ]
    return json.dumps({**policy, "Statement": remaining})


def _is_tls_condition(condition: Params) -> bool:
    return condition.get("Bool", {}).get("aws:SecureTransport") in ("false", ["false"])
