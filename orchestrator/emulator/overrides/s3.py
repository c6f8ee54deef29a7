"""S3 bucket configuration as AWS keeps it: what a new bucket has, what reads back, which policies are refused.

Objects are the backend's, which does not compare checksums.  Configuration AWS stores as given (encryption, lifecycle,
policy) is kept here, so that nothing is dropped on the way back; the backend is still told, and still says whether a
bucket exists.
"""

from __future__ import annotations

import base64
import hashlib
import json
import secrets
from copy import deepcopy
from typing import Any

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.http_messages import Response
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.service_base import CallContext, EmulatorState, Service

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


class S3(Service):
    """Corrections to bucket configuration, on either backend."""

    service = "s3"

    def __init__(self, state: EmulatorState) -> None:
        super().__init__(state)
        self._encryption: dict[str, Params] = {}
        self._lifecycle: dict[str, Params] = {}
        self._policies: dict[str, str] = {}
        self._regions: dict[tuple[str, str], str] = {}
        self._logging: dict[str, Params] = {}
        self._event_bridge: dict[str, bool] = {}

    def create_bucket(self, params: Params, context: CallContext) -> Response:
        """A new bucket is encrypted, blocks public access, has ACLs off and the tags it was made with."""
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
        return response

    def list_buckets(self, params: Params, context: CallContext) -> Params:
        """Regions are told where anything is asked for, such as pages."""
        response = context.forward(params)
        buckets = response.get("Buckets") or []
        if params:
            buckets = [{**bucket, "BucketRegion": self._get_bucket_region(bucket, context)} for bucket in buckets]
        return {**response, "Buckets": buckets}

    def _get_bucket_region(self, bucket: Params, context: CallContext) -> str:
        """Where one bucket is, asked once: a bucket never moves."""
        key = bucket["Name"], str(bucket["CreationDate"])
        if key not in self._regions:
            response = self._call(context, "HeadBucket", Bucket=bucket["Name"])
            self._regions[key] = response.get("BucketRegion") or "us-east-1"
        return self._regions[key]

    def delete_bucket(self, params: Params, context: CallContext) -> Response:
        """Forget what was kept of it."""
        response = context.forward_raw()
        if response.status < 300:
            self._forget_bucket(params["Bucket"])
        return response

    def put_object(self, params: Params, context: CallContext) -> Response:
        """Refused when the bytes are not those of the checksum that came with them."""
        request = context.request
        expected_checksum = request.header("x-amz-checksum-sha256")
        if expected_checksum and request.header("content-encoding") != "aws-chunked":
            actual_checksum = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
            if expected_checksum != actual_checksum:
                raise AwsError("BadDigest", "The SHA256 you specified did not match the calculated checksum.", 400)
        return context.forward_raw()

    def get_bucket_encryption(self, params: Params, context: CallContext) -> Params:
        """Never absent: SSE-S3 is always on."""
        self._require_bucket(params, context)
        configuration = self._encryption.get(params["Bucket"], _DEFAULT_ENCRYPTION)
        return {"ServerSideEncryptionConfiguration": deepcopy(configuration)}

    def put_bucket_encryption(self, params: Params, context: CallContext) -> Params:
        """Kept as given, the bucket key off unless asked for."""
        self._require_bucket(params, context)
        configuration = deepcopy(params["ServerSideEncryptionConfiguration"])
        for rule in configuration["Rules"]:
            rule.setdefault("BucketKeyEnabled", False)
            rule.setdefault("BlockedEncryptionTypes", {"EncryptionType": ["SSE-C"]})
        self._encryption[params["Bucket"]] = configuration
        return {}

    def delete_bucket_encryption(self, params: Params, context: CallContext) -> Params:
        """Back to SSE-S3."""
        self._require_bucket(params, context)
        self._encryption.pop(params["Bucket"], None)
        return {}

    def put_bucket_lifecycle_configuration(self, params: Params, context: CallContext) -> Params:
        """The backend validates; rules without an ID get one."""
        context.forward(params)
        rules = deepcopy(params.get("LifecycleConfiguration", {}).get("Rules", []))
        for rule in rules:
            rule.setdefault("ID", secrets.token_urlsafe(36)[:48])
        min_object_size = params.get(_MIN_OBJECT_SIZE_KEY, _DEFAULT_MIN_OBJECT_SIZE)
        self._lifecycle[params["Bucket"]] = {"Rules": rules, _MIN_OBJECT_SIZE_KEY: min_object_size}
        return {_MIN_OBJECT_SIZE_KEY: min_object_size}

    def get_bucket_lifecycle_configuration(self, params: Params, context: CallContext) -> Params:
        """As it was put."""
        response = context.forward(params)
        return deepcopy(self._lifecycle.get(params["Bucket"], response))

    def delete_bucket_lifecycle(self, params: Params, context: CallContext) -> Params:
        """Forget the rules."""
        context.forward(params)
        self._lifecycle.pop(params["Bucket"], None)
        return {}

    def put_bucket_logging(self, params: Params, context: CallContext) -> Params:
        """The target has to be there; whether its policy lets the log in shows when there is one to deliver."""
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
        """As it was put; nothing when it is off."""
        self._require_bucket(params, context)
        return deepcopy(self._logging.get(params["Bucket"], {}))

    def put_bucket_notification_configuration(self, params: Params, context: CallContext) -> Params:
        """The backend's, and whether EventBridge is told, which moto forgets: an empty element says so."""
        response = context.forward(params)
        self._event_bridge[params["Bucket"]] = "EventBridgeConfiguration" in params["NotificationConfiguration"]
        return response

    def get_bucket_notification_configuration(self, params: Params, context: CallContext) -> Params:
        """As it was put."""
        response = context.forward(params)
        response.pop("EventBridgeConfiguration", None)
        return {**response, "EventBridgeConfiguration": {}} if self._event_bridge.get(params["Bucket"]) else response

    def put_bucket_policy(self, params: Params, context: CallContext) -> Params:
        """A public policy is refused while BlockPublicPolicy is on.

        moto is not told: it applies statements without their conditions, and would deny every upload to a bucket
        with a TLS-only policy.  MiniStack is told without what is denied to plain HTTP: its distributions ask its
        buckets over that, where AWS's use TLS.
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
        """As it was put."""
        return {"Policy": self._get_policy_text(params, context)}

    def get_bucket_policy_status(self, params: Params, context: CallContext) -> Params:
        """Whether it is public."""
        return {"PolicyStatus": {"IsPublic": is_public(_parse_policy(self._get_policy_text(params, context)))}}

    def delete_bucket_policy(self, params: Params, context: CallContext) -> Params:
        """Absent already is fine."""
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
        """Raise NoSuchBucket unless the backend has the bucket."""
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
        for stored in (self._encryption, self._lifecycle, self._policies, self._logging, self._event_bridge):
            stored.pop(bucket, None)


def _parse_policy(policy: str) -> Params:
    try:
        parsed: Params = json.loads(policy)
        statements = parsed["Statement"]
    except (ValueError, KeyError, TypeError) as error:
        raise AwsError("MalformedPolicy", "Policies must be valid JSON and the first byte must be '{'", 400) from error
    for statement in [statements] if isinstance(statements, dict) else statements:
        if not {"Effect", "Principal", "Action", "Resource"} <= {name.removeprefix("Not") for name in statement}:
            raise AwsError("MalformedPolicy", "Missing required field in policy statement", 400)
    return parsed


def is_public(policy: Params) -> bool:
    """Whether a policy allows something to everyone without a condition, as S3 Block Public Access judges."""
    statements = policy["Statement"]
    for statement in [statements] if isinstance(statements, dict) else statements:
        principal = statement.get("Principal")
        aws_principal = principal.get("AWS") if isinstance(principal, dict) else principal
        is_everyone = aws_principal == "*" or (isinstance(aws_principal, list) and "*" in aws_principal)
        if statement["Effect"] == "Allow" and is_everyone and not statement.get("Condition"):
            return True
    return False


def _remove_tls_statements(policy: Any) -> str:
    """A policy without the statements that deny everything but TLS."""
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    remaining = [
        statement
        for statement in statements
        if statement["Effect"] != "Deny" or not _is_tls_condition(statement.get("Condition") or {})
    ]
    return json.dumps({**policy, "Statement": remaining})


def _is_tls_condition(condition: Params) -> bool:
    return condition.get("Bool", {}).get("aws:SecureTransport") in ("false", ["false"])
