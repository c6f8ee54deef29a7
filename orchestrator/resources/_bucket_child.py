"""Read bucket settings that are resources of their own and whose owner is the owner of the bucket.

API: S3 HeadBucket, GetBucketTagging.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from orchestrator.aws.errors import AwsError
from orchestrator.ownership_tags import Ownership, from_aws_tags
from orchestrator.resources import AwsReader, read_ownership
from orchestrator.vocabulary import Scope

SettingT = TypeVar("SettingT")

BUCKET_NOT_FOUND_CODES = ("404", "NoSuchBucket")
NO_ACCESSIBLE_BUCKET_CODES = (*BUCKET_NOT_FOUND_CODES, "403", "Forbidden", "AccessDenied")


def read_bucket_setting(
    aws: AwsReader, scope: Scope, name: str, read_setting: Callable[[Mapping[str, str]], SettingT]
) -> tuple[SettingT, Ownership] | None:
    """Return what ``read_setting`` returns for bucket ``name``, and the owner of the bucket.

    ``read_setting`` receives the parameters that identify the bucket to S3. Returns None only if this account has no
    such bucket. Raises AwsError.
    """
    bucket_params = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    try:
        setting = read_setting(bucket_params)
    except AwsError as error:
        if _is_missing_bucket(aws, bucket_params, error.code):
            return None
        raise
    return setting, read_ownership(aws, scope, f"arn:aws:s3:::{name}", lambda: _tags(aws, bucket_params))


def _tags(aws: AwsReader, bucket_params: Mapping[str, str]) -> dict[str, str]:
    response = aws.get("s3", "get_bucket_tagging", missing=("NoSuchTagSet", "NoSuchBucket"), **bucket_params) or {}
    return from_aws_tags(response.get("TagSet"))


def _is_missing_bucket(aws: AwsReader, bucket_params: Mapping[str, str], error_code: str) -> bool:
    """Return whether an error means that this account has no such bucket, rather than a missing permission."""
    return error_code in BUCKET_NOT_FOUND_CODES or (
        error_code in NO_ACCESSIBLE_BUCKET_CODES
        and aws.get("s3", "head_bucket", missing=NO_ACCESSIBLE_BUCKET_CODES, **bucket_params) is None
    )
