"""S3 buckets and their settings.  API: S3 CreateBucket, HeadBucket, and one Get and one Put an aspect.

Policy and CORS are resources of their own, because they refer to what refers to the bucket.  Every call after the
creation names the account that must own the bucket: bucket names are the world's, not ours.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.aws.errors import AwsError
from orchestrator.ownership_tags import mapping, marks, pairs
from orchestrator.resources import Aws, standing_tags
from orchestrator.steps import Call, Steps, Sweep
from orchestrator.values import Value, canonical
from orchestrator.vocabulary import Health, Live, Scope

IMMUTABLE = frozenset({"region", "namespace"})
STATEFUL = True
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws[a-z-]*:s3:::(?P<name>[^/]+)")

GONE = ("NoSuchBucket",)
NOT_THERE = ("404", *GONE)
REFUSED = ("403", "Forbidden", "AccessDenied")
BUSY = ("OperationAborted",)
TAKEN = "another AWS account"
BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Lifecycle rules have no order, and their ids mean nothing."""
    found = dict(spec)
    if "lifecycle" in spec:
        found["lifecycle"] = canonical([_rule(rule) for rule in spec["lifecycle"]])
    return found


def read(aws: Aws, scope: Scope, name: str, spec: Mapping[str, Value]) -> Live | None:
    """HeadBucket and the tags, then one read an aspect that ``spec`` asks about."""
    head = _head(aws, scope, name)
    if not head:
        return None if head is None else Live({}, owner=TAKEN, health=Health.FAILED, status="the name is taken")
    where = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    region = head.get("BucketRegion") or scope.region
    tags = standing_tags(aws, scope, f"arn:aws:s3:::{name}", spec.get("tags"), lambda: _tags(aws, where))
    found = {aspect: look(aws, where) for aspect, look in ASPECTS.items() if aspect in spec}
    found |= {"region": region, "namespace": _namespace(name, scope.account, region), "tags": tags}
    return Live(normalise(found), _outputs(name, region), {"region": region}, **marks(tags))


def _tags(aws: Aws, where: Mapping[str, Any]) -> dict[str, str]:
    return mapping(_get(aws, "get_bucket_tagging", "TagSet", where, "NoSuchTagSet"))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """The bucket comes into being with its tags, private and encrypted; its other settings follow, each in one call."""
    home = {"Tags": pairs(spec["tags"])}
    if spec["region"] != "us-east-1":  # S3 refuses the name of its first region
        home["LocationConstraint"] = spec["region"]
    ownership = spec.get("ownership", "BucketOwnerEnforced")
    body = {"Bucket": name, "CreateBucketConfiguration": home, "ObjectOwnership": ownership}
    if spec.get("namespace") == "account-regional":
        body["BucketNamespace"] = "account-regional"
    yield Call("s3", "create_bucket", body, ok=("BucketAlreadyOwnedByYou",), retry=BUSY)
    for aspect in PUTS:
        if spec.get(aspect):
            yield PUTS[aspect](scope, name, spec, {})
    return _outputs(name, spec["region"])


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: Live, changed: frozenset[str]) -> Steps:
    """One call an aspect that differs.  S3 replaces the whole aspect, so foreign tags are written back."""
    if "tags" in changed:
        tags = {**live.spec.get("tags", {}), **spec["tags"]}
        yield _put("put_bucket_tagging", scope, name, Tagging={"TagSet": pairs(tags)})
    for aspect in PUTS:
        if aspect in changed:
            yield PUTS[aspect](scope, name, spec, live.spec)
    return {}


def delete(scope: Scope, name: str, live: Live) -> Steps:
    """S3 deletes only what is empty: every version, every delete marker, every unfinished upload goes first."""
    where = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    versions = Call("s3", "list_object_versions", where, ok=GONE)
    yield Sweep(
        versions,
        "delete_objects",
        lambda answer: _remove_versions(where, answer),
        "delete every version and delete marker",
    )
    uploads = Call("s3", "list_multipart_uploads", where, ok=GONE)
    yield Sweep(
        uploads, "abort_multipart_upload", lambda answer: _abort_upload(where, answer), "abort every unfinished upload"
    )
    yield Call("s3", "delete_bucket", where, ok=GONE, retry=BUSY)
    return {}


def stuck(live: Live) -> str:
    """The one thing that can be wrong with a bucket as a whole."""
    if live.owner == TAKEN:
        return "Another AWS account has a bucket of this name, and names are the world's: choose another spec.name."
    return ""


def _outputs(name: str, region: str) -> dict[str, str]:
    return {"name": name, "arn": f"arn:aws:s3:::{name}", "domain": f"{name}.s3.{region}.amazonaws.com"}


def _namespace(name: str, account: str, region: str) -> str:
    return "account-regional" if name.endswith(f"-{account}-{region}-an") else "global"


def _head(aws: Aws, scope: Scope, name: str) -> dict[str, Any] | None:
    """Where the bucket is: None where there is no such bucket, {} where it is another account's.

    Our own list of buckets tells it of all at once; HeadBucket is asked about what is not on it, and answers 403
    both for another's bucket and for a missing permission: that list tells them apart.
    """
    try:
        listed = next((bucket for bucket in _ours(aws) if bucket["Name"] == name), None)
    except AwsError:  # may not be asked: the one bucket may be
        listed = None
    if listed and listed.get("BucketRegion"):
        return {"BucketRegion": listed["BucketRegion"]}
    try:
        answer = aws.get("s3", "head_bucket", Bucket=name, ExpectedBucketOwner=scope.account, missing=NOT_THERE)
    except AwsError as error:
        if error.code not in REFUSED or _is_listed(aws, name):
            raise
        return {}
    return answer if answer is None else {"BucketRegion": answer.get("BucketRegion")}


def _is_listed(aws: Aws, name: str) -> bool:
    """Whether the bucket is among ours.  Raises AwsError when that may not be asked either."""
    return any(bucket["Name"] == name for bucket in _ours(aws))


def _ours(aws: Aws) -> list[Any]:
    """All buckets of the account; S3 tells their regions only where it is asked for pages."""
    return aws.all("s3", "list_buckets", "Buckets", MaxBuckets=1000)


def _get(aws: Aws, operation: str, member: str, where: Mapping[str, Any], *missing: str) -> Any:
    answer = aws.get("s3", operation, missing=(*missing, *GONE), **where)
    return (answer or {}).get(member)


def _versioning(aws: Aws, where: Mapping[str, Any]) -> bool:
    """Suspended and never enabled keep no new versions alike."""
    return bool(_get(aws, "get_bucket_versioning", "Status", where) == "Enabled")


def _encryption(aws: Aws, where: Mapping[str, Any]) -> dict[str, Any]:
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    answer = _get(aws, "get_bucket_encryption", "ServerSideEncryptionConfiguration", where, missing) or {}
    rule: dict[str, Any] = next(iter(answer.get("Rules", ())), {})
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    return {
        "algorithm": default.get("SSEAlgorithm"),
        "key": default.get("KMSMasterKeyID"),
        "bucket_key": rule.get("BucketKeyEnabled", False),
        "blocked": rule.get("BlockedEncryptionTypes", {}).get("EncryptionType", []),
    }


def _public_access(aws: Aws, where: Mapping[str, Any]) -> str:
    missing = "NoSuchPublicAccessBlockConfiguration"
    block = _get(aws, "get_public_access_block", "PublicAccessBlockConfiguration", where, missing) or {}
    return "blocked" if all(block.get(each) for each in BLOCKS) else "open"


def _ownership(aws: Aws, where: Mapping[str, Any]) -> str:
    controls = _get(aws, "get_bucket_ownership_controls", "OwnershipControls", where, "OwnershipControlsNotFoundError")
    return next((str(rule["ObjectOwnership"]) for rule in (controls or {}).get("Rules", ())), "ObjectWriter")


def _lifecycle(aws: Aws, where: Mapping[str, Any]) -> list[Any]:
    missing = "NoSuchLifecycleConfiguration"
    return _get(aws, "get_bucket_lifecycle_configuration", "Rules", where, missing) or []


def _logging(aws: Aws, where: Mapping[str, Any]) -> dict[str, Any]:
    target = _get(aws, "get_bucket_logging", "LoggingEnabled", where) or {}
    return {"bucket": target.get("TargetBucket"), "prefix": target.get("TargetPrefix", "")}


def _notifications(aws: Aws, where: Mapping[str, Any]) -> str:
    answer = aws.get("s3", "get_bucket_notification_configuration", missing=GONE, **where) or {}
    kinds = {kind for kind in answer if kind.endswith(("Configuration", "Configurations"))}
    return "none" if not kinds else "eventbridge" if kinds == {"EventBridgeConfiguration"} else "other"


ASPECTS: Mapping[str, Callable[[Aws, Mapping[str, Any]], Any]] = {
    "versioning": _versioning,
    "encryption": _encryption,
    "public_access": _public_access,
    "ownership": _ownership,
    "lifecycle": _lifecycle,
    "logging": _logging,
    "notifications": _notifications,
}


def _rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """One lifecycle rule without its id, its filter where today's S3 puts it."""
    shaped = {key: value for key, value in rule.items() if key not in ("ID", "Prefix")}
    shaped["Filter"] = dict(rule.get("Filter") or {"Prefix": rule.get("Prefix", "")})
    for transitions in {"Transitions", "NoncurrentVersionTransitions"} & shaped.keys():
        shaped[transitions] = canonical(list(shaped[transitions]))
    return shaped


def _put(operation: str, scope: Scope, name: str, **body: Any) -> Call:
    """A new bucket may not be known everywhere for a moment."""
    parameters = {"Bucket": name, "ExpectedBucketOwner": scope.account, **body}
    return Call("s3", operation, parameters, retry=(*BUSY, *GONE), patience=60.0)


def _put_versioning(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> Call:
    status = "Enabled" if spec["versioning"] else "Suspended"
    return _put("put_bucket_versioning", scope, name, VersioningConfiguration={"Status": status})


def _put_encryption(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> Call:
    """Keys that customers send with each request are refused from the start; a bucket that allows them goes on."""
    wanted, blocked = spec["encryption"], live.get("encryption", {}).get("blocked", ["SSE-C"])
    default = {"SSEAlgorithm": wanted["algorithm"]}
    if wanted.get("key"):
        default["KMSMasterKeyID"] = wanted["key"]
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": wanted.get("bucket_key", False)}
    if blocked:
        rule["BlockedEncryptionTypes"] = {"EncryptionType": blocked}
    return _put("put_bucket_encryption", scope, name, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _put_public_access(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> Call:
    block = dict.fromkeys(BLOCKS, spec["public_access"] == "blocked")
    return _put("put_public_access_block", scope, name, PublicAccessBlockConfiguration=block)


def _put_ownership(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> Call:
    controls = {"Rules": [{"ObjectOwnership": spec["ownership"]}]}
    return _put("put_bucket_ownership_controls", scope, name, OwnershipControls=controls)


def _put_lifecycle(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> Call:
    if not spec["lifecycle"]:
        return _put("delete_bucket_lifecycle", scope, name)
    rules = [{"ID": f"orchestrator-{number}", **rule} for number, rule in enumerate(spec["lifecycle"], start=1)]
    return _put("put_bucket_lifecycle_configuration", scope, name, LifecycleConfiguration={"Rules": rules})


def _put_logging(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> Call:
    target = spec["logging"]
    status = {"LoggingEnabled": {"TargetBucket": target["bucket"], "TargetPrefix": target["prefix"]}}
    return _put("put_bucket_logging", scope, name, BucketLoggingStatus=status if target["bucket"] else {})


def _put_notifications(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> Call:
    wanted: dict[str, Any] = {"EventBridgeConfiguration": {}} if spec["notifications"] == "eventbridge" else {}
    return _put("put_bucket_notification_configuration", scope, name, NotificationConfiguration=wanted)


PUTS: Mapping[str, Callable[[Scope, str, Mapping[str, Value], Mapping[str, Value]], Call]] = {
    "public_access": _put_public_access,
    "ownership": _put_ownership,
    "encryption": _put_encryption,
    "versioning": _put_versioning,
    "lifecycle": _put_lifecycle,
    "logging": _put_logging,
    "notifications": _put_notifications,
}


def _remove_versions(where: Mapping[str, Any], answer: Any) -> Call | None:
    listed = [*answer.get("Versions", ()), *answer.get("DeleteMarkers", ())]
    if not listed:
        return None
    objects = [{"Key": each["Key"], "VersionId": each["VersionId"]} for each in listed]
    return Call("s3", "delete_objects", {**where, "Delete": {"Objects": objects, "Quiet": True}}, ok=GONE)


def _abort_upload(where: Mapping[str, Any], answer: Any) -> Call | None:
    for upload in answer.get("Uploads", ()):
        body = {**where, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        return Call("s3", "abort_multipart_upload", body, ok=("NoSuchUpload", *GONE))
    return None
