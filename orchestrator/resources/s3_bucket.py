"""Manage S3 buckets and their settings. API: S3 CreateBucket, HeadBucket, and one Get and one Put per setting.

Policy and CORS are separate resources, because they refer to resources that refer to the bucket. Every call after
creation names the account that must own the bucket, because bucket names are global.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from typing import Any

from orchestrator.aws.errors import AwsError
from orchestrator.ownership_tags import from_aws_tags, parse_ownership, to_aws_tags
from orchestrator.resources import AwsReader, read_tags
from orchestrator.resources._existing import confirm_existing
from orchestrator.resources._watched import Watch, Watched
from orchestrator.steps import ApiCall, Steps, Sweep
from orchestrator.values import Value, sort_canonically
from orchestrator.vocabulary import Health, LiveResource, Scope

IMMUTABLE = frozenset({"region", "namespace"})
STATEFUL = True
USES: frozenset[str] = frozenset()
ARN = re.compile(r"arn:aws[a-z-]*:s3:::(?P<name>[^/]+)")

NOT_FOUND_CODES = ("NoSuchBucket",)
BUCKET_NOT_FOUND_CODES = ("404", *NOT_FOUND_CODES)
ACCESS_DENIED_CODES = ("403", "Forbidden", "AccessDenied")
BUSY_CODES = ("OperationAborted",)
FOREIGN_OWNER = "another AWS account"
ENCRYPTION_DEFAULTS: Mapping[str, Value] = {"bucket_key": False, "key": None}
PUBLIC_ACCESS_BLOCKS = ("BlockPublicAcls", "IgnorePublicAcls", "BlockPublicPolicy", "RestrictPublicBuckets")

WATCHED: Mapping[str, tuple[str, Watched, tuple[str, ...]]] = {
    "replication": (
        "get_bucket_replication",
        Watched(
            "ReplicationConfiguration.Rules[].Destination.Bucket",
            "Objects are copied to that bucket; to stop that, run `aws s3api delete-bucket-replication`",
        ),
        ("ReplicationConfigurationNotFoundError",),
    ),
    "logging": (
        "get_bucket_logging",
        Watched(
            "LoggingEnabled.TargetBucket",
            "It is left unchanged. Declare it as `accessLog`, or switch it off with `accessLog: {bucket: none}`",
        ),
        (),
    ),
    "notifications": (
        "get_bucket_notification_configuration",
        Watched(
            "keys(@)[?ends_with(@, 'Configuration') || ends_with(@, 'Configurations')]",
            "They are left unchanged. Remove them with `notifications: none`",
        ),
        (),
    ),
}
"""Settings of others by name: the call, where its response has the setting, and its errors that mean none."""


def normalise(spec: Mapping[str, Value]) -> Mapping[str, Value]:
    """Return the spec with lifecycle rules sorted and their ids removed."""
    normalised = dict(spec)
    if isinstance(spec.get("encryption"), Mapping):
        normalised["encryption"] = {**spec["encryption"]} | {
            key: default for key, default in ENCRYPTION_DEFAULTS.items() if key not in spec["encryption"]
        }
    if "lifecycle" in spec:
        normalised["lifecycle"] = sort_canonically([_normalise_lifecycle_rule(rule) for rule in spec["lifecycle"]])
    return normalised


def read(aws: AwsReader, scope: Scope, name: str, spec: Mapping[str, Value]) -> LiveResource | None:
    """Return the bucket with its tags and the settings that ``spec`` contains, or None."""
    location = _locate(aws, scope, name)
    if not location:
        return (
            None
            if location is None
            else LiveResource({}, owner=FOREIGN_OWNER, health=Health.FAILED, status="the name is taken")
        )
    bucket_params = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    region = location.get("BucketRegion") or scope.region
    tags = read_tags(aws, scope, f"arn:aws:s3:::{name}", spec.get("tags"), lambda: _fetch_tags(aws, bucket_params))
    live_spec = {
        aspect: read_aspect(aws, bucket_params) for aspect, read_aspect in ASPECT_READERS.items() if aspect in spec
    }
    live_spec |= {"region": region, "namespace": _infer_namespace(name, scope.account, region), "tags": tags}
    watch = Watch(aws)
    for setting, (operation, watched, missing) in WATCHED.items() if spec else ():
        if setting not in spec:
            codes = (*missing, *NOT_FOUND_CODES)
            watch.read(setting, watched, "s3", operation, missing=codes, **bucket_params)
    return LiveResource(
        normalise(live_spec),
        _build_outputs(name, region),
        {"region": region},
        **watch.fields,
        **parse_ownership(tags),
    )


def _fetch_tags(aws: AwsReader, bucket_params: Mapping[str, Any]) -> dict[str, str]:
    return from_aws_tags(_get_member(aws, "get_bucket_tagging", "TagSet", bucket_params, "NoSuchTagSet"))


def create(scope: Scope, name: str, spec: Mapping[str, Value]) -> Steps:
    """Create the bucket private and encrypted with its tags, then apply its other settings with one call each."""
    configuration = {"Tags": to_aws_tags(spec["tags"])}
    if spec["region"] != "us-east-1":  # S3 rejects the name of its first region
        configuration["LocationConstraint"] = spec["region"]
    ownership = spec.get("ownership", "BucketOwnerEnforced")
    request = {"Bucket": name, "CreateBucketConfiguration": configuration, "ObjectOwnership": ownership}
    if spec.get("namespace") == "account-regional":
        request["BucketNamespace"] = "account-regional"
    created_spec = {key: spec[key] for key in ("region", "namespace", "tags") if key in spec}
    yield ApiCall(
        "s3",
        "create_bucket",
        request,
        retry_codes=BUSY_CODES,
        exists_codes=("BucketAlreadyOwnedByYou",),
        read_existing=confirm_existing(read, scope, name, created_spec, compared=True),
    )
    for aspect in ASPECT_WRITERS:
        if spec.get(aspect):
            yield ASPECT_WRITERS[aspect](scope, name, spec, {})
    return _build_outputs(name, spec["region"])


def update(scope: Scope, name: str, spec: Mapping[str, Value], live: LiveResource, changed: frozenset[str]) -> Steps:
    """Update each changed setting with one call. S3 replaces the whole setting, so tags of others are written back."""
    if "tags" in changed:
        tags = {**live.spec.get("tags", {}), **spec["tags"]}
        yield _put_call("put_bucket_tagging", scope, name, Tagging={"TagSet": to_aws_tags(tags)})
    for aspect in ASPECT_WRITERS:
        if aspect in changed:
            yield ASPECT_WRITERS[aspect](scope, name, spec, live.spec)
    return {}


def delete(scope: Scope, name: str, live: LiveResource) -> Steps:
    """Delete the bucket and first every version, delete marker and unfinished upload: S3 requires it to be empty."""
    bucket_params = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    versions = ApiCall("s3", "list_object_versions", bucket_params, ok_codes=NOT_FOUND_CODES)
    yield Sweep(
        versions,
        "delete_objects",
        lambda response: _delete_versions_call(bucket_params, response),
        "delete every version and delete marker",
    )
    uploads = ApiCall("s3", "list_multipart_uploads", bucket_params, ok_codes=NOT_FOUND_CODES)
    yield Sweep(
        uploads,
        "abort_multipart_upload",
        lambda response: _abort_upload_call(bucket_params, response),
        "abort every unfinished upload",
    )
    yield ApiCall("s3", "delete_bucket", bucket_params, ok_codes=NOT_FOUND_CODES, retry_codes=BUSY_CODES)
    return {}


def stuck(live: LiveResource) -> str:
    """Return what to do if another account owns the bucket name, else ""."""
    if live.owner == FOREIGN_OWNER:
        return "Another AWS account owns a bucket of this name. Names are globally unique: choose another `spec.name`."
    return ""


def _build_outputs(name: str, region: str) -> dict[str, str]:
    return {"name": name, "arn": f"arn:aws:s3:::{name}", "domain": f"{name}.s3.{region}.amazonaws.com"}


def _infer_namespace(name: str, account: str, region: str) -> str:
    return "account-regional" if name.endswith(f"-{account}-{region}-an") else "global"


def _locate(aws: AwsReader, scope: Scope, name: str) -> dict[str, Any] | None:
    """Return where the bucket is: None if it does not exist, {} if another account owns it.

    The listing of the account's buckets answers for all of them. HeadBucket is called only for buckets that it does not
    contain; its 403 means either another owner or a missing permission, which the listing tells apart.
    """
    try:
        own_bucket = next((bucket for bucket in _list_own_buckets(aws) if bucket["Name"] == name), None)
    except AwsError:  # listing is not permitted; HeadBucket may be
        own_bucket = None
    if own_bucket and own_bucket.get("BucketRegion"):
        return {"BucketRegion": own_bucket["BucketRegion"]}
    try:
        response = aws.get(
            "s3", "head_bucket", Bucket=name, ExpectedBucketOwner=scope.account, missing=BUCKET_NOT_FOUND_CODES
        )
    except AwsError as error:
        if error.code not in ACCESS_DENIED_CODES or _is_own_bucket(aws, name):
            raise
        return {}
    return response if response is None else {"BucketRegion": response.get("BucketRegion")}


def _is_own_bucket(aws: AwsReader, name: str) -> bool:
    """Return whether the account owns the bucket. Raises AwsError if listing is not permitted either."""
    return any(bucket["Name"] == name for bucket in _list_own_buckets(aws))


def _list_own_buckets(aws: AwsReader) -> list[Any]:
    """Return all buckets of the account; S3 includes their regions only in paged requests."""
    return aws.all("s3", "list_buckets", "Buckets", MaxBuckets=1000)


def _get_member(aws: AwsReader, operation: str, member: str, bucket_params: Mapping[str, Any], *missing: str) -> Any:
    response = aws.get("s3", operation, missing=(*missing, *NOT_FOUND_CODES), **bucket_params)
    return (response or {}).get(member)


def _read_versioning(aws: AwsReader, bucket_params: Mapping[str, Any]) -> bool:
    """Return whether versioning is enabled; suspended versioning is equivalent to none."""
    return bool(_get_member(aws, "get_bucket_versioning", "Status", bucket_params) == "Enabled")


def _read_encryption(aws: AwsReader, bucket_params: Mapping[str, Any]) -> dict[str, Any]:
    missing = "ServerSideEncryptionConfigurationNotFoundError"
    configuration = (
        _get_member(aws, "get_bucket_encryption", "ServerSideEncryptionConfiguration", bucket_params, missing) or {}
    )
    rule: dict[str, Any] = next(iter(configuration.get("Rules", ())), {})
    default = rule.get("ApplyServerSideEncryptionByDefault", {})
    return {
        "algorithm": default.get("SSEAlgorithm"),
        "key": default.get("KMSMasterKeyID"),
        "bucket_key": rule.get("BucketKeyEnabled", False),
        "blocked": rule.get("BlockedEncryptionTypes", {}).get("EncryptionType", []),
    }


def _read_public_access(aws: AwsReader, bucket_params: Mapping[str, Any]) -> str:
    missing = "NoSuchPublicAccessBlockConfiguration"
    block = _get_member(aws, "get_public_access_block", "PublicAccessBlockConfiguration", bucket_params, missing) or {}
    return "blocked" if all(block.get(setting) for setting in PUBLIC_ACCESS_BLOCKS) else "open"


def _read_ownership_controls(aws: AwsReader, bucket_params: Mapping[str, Any]) -> str:
    controls = _get_member(
        aws, "get_bucket_ownership_controls", "OwnershipControls", bucket_params, "OwnershipControlsNotFoundError"
    )
    return next((str(rule["ObjectOwnership"]) for rule in (controls or {}).get("Rules", ())), "ObjectWriter")


def _read_lifecycle(aws: AwsReader, bucket_params: Mapping[str, Any]) -> list[Any]:
    missing = "NoSuchLifecycleConfiguration"
    return _get_member(aws, "get_bucket_lifecycle_configuration", "Rules", bucket_params, missing) or []


def _read_logging(aws: AwsReader, bucket_params: Mapping[str, Any]) -> dict[str, Any]:
    target = _get_member(aws, "get_bucket_logging", "LoggingEnabled", bucket_params) or {}
    return {"bucket": target.get("TargetBucket"), "prefix": target.get("TargetPrefix", "")}


def _read_notifications(aws: AwsReader, bucket_params: Mapping[str, Any]) -> str:
    response = aws.get("s3", "get_bucket_notification_configuration", missing=NOT_FOUND_CODES, **bucket_params) or {}
    configured = {member for member in response if member.endswith(("Configuration", "Configurations"))}
    return "none" if not configured else "eventbridge" if configured == {"EventBridgeConfiguration"} else "other"


ASPECT_READERS: Mapping[str, Callable[[AwsReader, Mapping[str, Any]], Any]] = {
    "versioning": _read_versioning,
    "encryption": _read_encryption,
    "public_access": _read_public_access,
    "ownership": _read_ownership_controls,
    "lifecycle": _read_lifecycle,
    "logging": _read_logging,
    "notifications": _read_notifications,
}


def _normalise_lifecycle_rule(rule: Mapping[str, Any]) -> dict[str, Any]:
    """Return a lifecycle rule without its id and with its prefix in ``Filter``, where the current API has it."""
    normalised = {key: value for key, value in rule.items() if key not in ("ID", "Prefix")}
    normalised["Filter"] = dict(rule.get("Filter") or {"Prefix": rule.get("Prefix", "")})
    for transitions in {"Transitions", "NoncurrentVersionTransitions"} & normalised.keys():
        normalised[transitions] = sort_canonically(list(normalised[transitions]))
    return normalised


def _put_call(operation: str, scope: Scope, name: str, **body: Any) -> ApiCall:
    """Return a write call that is retried while a new bucket is not visible everywhere."""
    parameters = {"Bucket": name, "ExpectedBucketOwner": scope.account, **body}
    return ApiCall("s3", operation, parameters, retry_codes=(*BUSY_CODES, *NOT_FOUND_CODES), timeout_seconds=60.0)


def _put_versioning(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> ApiCall:
    status = "Enabled" if spec["versioning"] else "Suspended"
    return _put_call("put_bucket_versioning", scope, name, VersioningConfiguration={"Status": status})


def _put_encryption(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> ApiCall:
    """Return the encryption call. SSE-C is blocked on new buckets; a bucket that allows it keeps doing so."""
    encryption, blocked = spec["encryption"], live.get("encryption", {}).get("blocked", ["SSE-C"])
    default = {"SSEAlgorithm": encryption["algorithm"]}
    if encryption.get("key"):
        default["KMSMasterKeyID"] = encryption["key"]
    rule = {"ApplyServerSideEncryptionByDefault": default, "BucketKeyEnabled": encryption.get("bucket_key", False)}
    if blocked:
        rule["BlockedEncryptionTypes"] = {"EncryptionType": blocked}
    return _put_call("put_bucket_encryption", scope, name, ServerSideEncryptionConfiguration={"Rules": [rule]})


def _put_public_access(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> ApiCall:
    block = dict.fromkeys(PUBLIC_ACCESS_BLOCKS, spec["public_access"] == "blocked")
    return _put_call("put_public_access_block", scope, name, PublicAccessBlockConfiguration=block)


def _put_ownership(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> ApiCall:
    controls = {"Rules": [{"ObjectOwnership": spec["ownership"]}]}
    return _put_call("put_bucket_ownership_controls", scope, name, OwnershipControls=controls)


def _put_lifecycle(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> ApiCall:
    if not spec["lifecycle"]:
        return _put_call("delete_bucket_lifecycle", scope, name)
    rules = [{"ID": f"orchestrator-{number}", **rule} for number, rule in enumerate(spec["lifecycle"], start=1)]
    return _put_call("put_bucket_lifecycle_configuration", scope, name, LifecycleConfiguration={"Rules": rules})


def _put_logging(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> ApiCall:
    target = spec["logging"]
    status = {"LoggingEnabled": {"TargetBucket": target["bucket"], "TargetPrefix": target["prefix"]}}
    return _put_call("put_bucket_logging", scope, name, BucketLoggingStatus=status if target["bucket"] else {})


def _put_notifications(scope: Scope, name: str, spec: Mapping[str, Value], live: Mapping[str, Value]) -> ApiCall:
    configuration: dict[str, Any] = {"EventBridgeConfiguration": {}} if spec["notifications"] == "eventbridge" else {}
    return _put_call("put_bucket_notification_configuration", scope, name, NotificationConfiguration=configuration)


ASPECT_WRITERS: Mapping[str, Callable[[Scope, str, Mapping[str, Value], Mapping[str, Value]], ApiCall]] = {
    "public_access": _put_public_access,
    "ownership": _put_ownership,
    "encryption": _put_encryption,
    "versioning": _put_versioning,
    "lifecycle": _put_lifecycle,
    "logging": _put_logging,
    "notifications": _put_notifications,
}


def _delete_versions_call(bucket_params: Mapping[str, Any], response: Any) -> ApiCall | None:
    versions = [*response.get("Versions", ()), *response.get("DeleteMarkers", ())]
    if not versions:
        return None
    objects = [{"Key": version["Key"], "VersionId": version["VersionId"]} for version in versions]
    return ApiCall(
        "s3",
        "delete_objects",
        {**bucket_params, "Delete": {"Objects": objects, "Quiet": True}},
        ok_codes=NOT_FOUND_CODES,
    )


def _abort_upload_call(bucket_params: Mapping[str, Any], response: Any) -> ApiCall | None:
    for upload in response.get("Uploads", ()):
        request = {**bucket_params, "Key": upload["Key"], "UploadId": upload["UploadId"]}
        return ApiCall("s3", "abort_multipart_upload", request, ok_codes=("NoSuchUpload", *NOT_FOUND_CODES))
    return None
