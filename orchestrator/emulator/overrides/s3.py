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
from orchestrator.emulator.service_base import Context, Service, World

_ENCRYPTION: Params = {
    "Rules": [
        {
            "ApplyServerSideEncryptionByDefault": {"SSEAlgorithm": "AES256"},
            "BucketKeyEnabled": False,
            "BlockedEncryptionTypes": {"EncryptionType": ["SSE-C"]},
        }
    ]
}
_BLOCKED = {"BlockPublicAcls": True, "IgnorePublicAcls": True, "BlockPublicPolicy": True, "RestrictPublicBuckets": True}
_SIZES = "TransitionDefaultMinimumObjectSize"
_ALL_SIZES = "all_storage_classes_128K"


class S3(Service):
    """Corrections to bucket configuration, on either backend."""

    service = "s3"

    def __init__(self, world: World) -> None:
        super().__init__(world)
        self._encryption: dict[str, Params] = {}
        self._lifecycle: dict[str, Params] = {}
        self._policies: dict[str, str] = {}
        self._regions: dict[tuple[str, str], str] = {}
        self._logging: dict[str, Params] = {}
        self._event_bridge: dict[str, bool] = {}

    def create_bucket(self, params: Params, context: Context) -> Response:
        """A new bucket is encrypted, blocks public access, has ACLs off and the tags it was made with."""
        response = context.forward_raw()
        if response.status >= 300:
            return response
        bucket = params["Bucket"]
        ownership = params.get("ObjectOwnership", "BucketOwnerEnforced")
        self._forget(bucket)
        self._call(context, "PutPublicAccessBlock", Bucket=bucket, PublicAccessBlockConfiguration=_BLOCKED)
        rules = {"Rules": [{"ObjectOwnership": ownership}]}
        self._call(context, "PutBucketOwnershipControls", Bucket=bucket, OwnershipControls=rules)
        if tags := (params.get("CreateBucketConfiguration") or {}).get("Tags"):
            self._call(context, "PutBucketTagging", Bucket=bucket, Tagging={"TagSet": tags})
        return response

    def list_buckets(self, params: Params, context: Context) -> Params:
        """Regions are told where anything is asked for, such as pages."""
        found = context.forward(params)
        buckets = found.get("Buckets") or []
        if params:
            buckets = [{**bucket, "BucketRegion": self._region(bucket, context)} for bucket in buckets]
        return {**found, "Buckets": buckets}

    def _region(self, bucket: Params, context: Context) -> str:
        """Where one bucket is, asked once: a bucket never moves."""
        key = bucket["Name"], str(bucket["CreationDate"])
        if key not in self._regions:
            asked = self._call(context, "HeadBucket", Bucket=bucket["Name"])
            self._regions[key] = asked.get("BucketRegion") or "us-east-1"
        return self._regions[key]

    def delete_bucket(self, params: Params, context: Context) -> Response:
        """Forget what was kept of it."""
        response = context.forward_raw()
        if response.status < 300:
            self._forget(params["Bucket"])
        return response

    def put_object(self, params: Params, context: Context) -> Response:
        """Refused when the bytes are not those of the checksum that came with them."""
        request = context.request
        wanted = request.header("x-amz-checksum-sha256")
        if wanted and request.header("content-encoding") != "aws-chunked":
            found = base64.b64encode(hashlib.sha256(request.body).digest()).decode()
            if wanted != found:
                raise AwsError("BadDigest", "The SHA256 you specified did not match the calculated checksum.", 400)
        return context.forward_raw()

    def get_bucket_encryption(self, params: Params, context: Context) -> Params:
        """Never absent: SSE-S3 is always on."""
        self._require(params, context)
        kept = self._encryption.get(params["Bucket"], _ENCRYPTION)
        return {"ServerSideEncryptionConfiguration": deepcopy(kept)}

    def put_bucket_encryption(self, params: Params, context: Context) -> Params:
        """Kept as given, the bucket key off unless asked for."""
        self._require(params, context)
        kept = deepcopy(params["ServerSideEncryptionConfiguration"])
        for rule in kept["Rules"]:
            rule.setdefault("BucketKeyEnabled", False)
            rule.setdefault("BlockedEncryptionTypes", {"EncryptionType": ["SSE-C"]})
        self._encryption[params["Bucket"]] = kept
        return {}

    def delete_bucket_encryption(self, params: Params, context: Context) -> Params:
        """Back to SSE-S3."""
        self._require(params, context)
        self._encryption.pop(params["Bucket"], None)
        return {}

    def put_bucket_lifecycle_configuration(self, params: Params, context: Context) -> Params:
        """The backend validates; rules without an ID get one."""
        context.forward(params)
        rules = deepcopy(params.get("LifecycleConfiguration", {}).get("Rules", []))
        for rule in rules:
            rule.setdefault("ID", secrets.token_urlsafe(36)[:48])
        sizes = params.get(_SIZES, _ALL_SIZES)
        self._lifecycle[params["Bucket"]] = {"Rules": rules, _SIZES: sizes}
        return {_SIZES: sizes}

    def get_bucket_lifecycle_configuration(self, params: Params, context: Context) -> Params:
        """As it was put."""
        found = context.forward(params)
        return deepcopy(self._lifecycle.get(params["Bucket"], found))

    def delete_bucket_lifecycle(self, params: Params, context: Context) -> Params:
        """Forget the rules."""
        context.forward(params)
        self._lifecycle.pop(params["Bucket"], None)
        return {}

    def put_bucket_logging(self, params: Params, context: Context) -> Params:
        """The target has to be there; whether its policy lets the log in shows when there is one to deliver."""
        self._require(params, context)
        status = params["BucketLoggingStatus"]
        if target := status.get("LoggingEnabled"):
            try:
                self._call(context, "HeadBucket", Bucket=target["TargetBucket"])
            except AwsError as error:
                message = "The target bucket for logging does not exist"
                raise AwsError("InvalidTargetBucketForLogging", message, 400) from error
        self._logging[params["Bucket"]] = deepcopy(status)
        return {}

    def get_bucket_logging(self, params: Params, context: Context) -> Params:
        """As it was put; nothing when it is off."""
        self._require(params, context)
        return deepcopy(self._logging.get(params["Bucket"], {}))

    def put_bucket_notification_configuration(self, params: Params, context: Context) -> Params:
        """The backend's, and whether EventBridge is told, which moto forgets: an empty element says so."""
        found = context.forward(params)
        self._event_bridge[params["Bucket"]] = "EventBridgeConfiguration" in params["NotificationConfiguration"]
        return found

    def get_bucket_notification_configuration(self, params: Params, context: Context) -> Params:
        """As it was put."""
        found = context.forward(params)
        found.pop("EventBridgeConfiguration", None)
        return {**found, "EventBridgeConfiguration": {}} if self._event_bridge.get(params["Bucket"]) else found

    def put_bucket_policy(self, params: Params, context: Context) -> Params:
        """A public policy is refused while BlockPublicPolicy is on.

        moto is not told: it applies statements without their conditions, and would deny every upload to a bucket
        with a TLS-only policy.  MiniStack is told without what is denied to plain HTTP: its distributions ask its
        buckets over that, where AWS's use TLS.
        """
        self._require(params, context)
        policy = _parsed(params["Policy"])
        if is_public(policy) and self._blocks_policies(params["Bucket"], context):
            arn = f"arn:aws:iam::{self.world.account}:user/orchestrator"
            message = (
                f"User: {arn} is not authorized to perform: s3:PutBucketPolicy on resource:"
                f' "arn:aws:s3:::{params["Bucket"]}" because public policies are prevented by the BlockPublicPolicy'
                " setting in S3 Block Public Access."
            )
            raise AwsError("AccessDenied", message, 403)
        if self.world.backend.name != "moto":
            context.forward({**params, "Policy": _without_tls(policy)})
        self._policies[params["Bucket"]] = params["Policy"]
        return {}

    def get_bucket_policy(self, params: Params, context: Context) -> Params:
        """As it was put."""
        return {"Policy": self._policy(params, context)}

    def get_bucket_policy_status(self, params: Params, context: Context) -> Params:
        """Whether it is public."""
        return {"PolicyStatus": {"IsPublic": is_public(_parsed(self._policy(params, context)))}}

    def delete_bucket_policy(self, params: Params, context: Context) -> Params:
        """Absent already is fine."""
        self._require(params, context)
        if self._policies.pop(params["Bucket"], None) is not None and self.world.backend.name != "moto":
            context.forward(params)
        return {}

    def _policy(self, params: Params, context: Context) -> str:
        self._require(params, context)
        found = self._policies.get(params["Bucket"])
        if found is None:
            message = "The bucket policy does not exist"
            raise AwsError("NoSuchBucketPolicy", message, 404, BucketName=params["Bucket"])
        return found

    def _require(self, params: Params, context: Context) -> None:
        """Raise NoSuchBucket unless the backend has the bucket."""
        try:
            self._call(context, "HeadBucket", Bucket=params["Bucket"])
        except AwsError as error:
            message = "The specified bucket does not exist"
            raise AwsError("NoSuchBucket", message, 404, BucketName=params["Bucket"]) from error

    def _blocks_policies(self, bucket: str, context: Context) -> bool:
        try:
            answer = self._call(context, "GetPublicAccessBlock", Bucket=bucket)
        except AwsError:
            return False
        return bool(answer["PublicAccessBlockConfiguration"].get("BlockPublicPolicy"))

    def _call(self, context: Context, operation: str, **params: Any) -> Params:
        return self.world.call("s3", operation, context.region, **params)

    def _forget(self, bucket: str) -> None:
        for kept in (self._encryption, self._lifecycle, self._policies, self._logging, self._event_bridge):
            kept.pop(bucket, None)


def _parsed(policy: str) -> Params:
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
        named = principal.get("AWS") if isinstance(principal, dict) else principal
        everyone = named == "*" or (isinstance(named, list) and "*" in named)
        if statement["Effect"] == "Allow" and everyone and not statement.get("Condition"):
            return True
    return False


def _without_tls(policy: Any) -> str:
    """A policy without the statements that deny everything but TLS."""
    statements = policy["Statement"] if isinstance(policy["Statement"], list) else [policy["Statement"]]
    kept = [each for each in statements if each["Effect"] != "Deny" or not _is_about_tls(each.get("Condition") or {})]
    return json.dumps({**policy, "Statement": kept})


def _is_about_tls(condition: Params) -> bool:
    return condition.get("Bool", {}).get("aws:SecureTransport") in ("false", ["false"])
