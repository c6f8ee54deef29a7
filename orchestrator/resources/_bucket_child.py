"""What lies in a bucket and is a resource of its own: there when the bucket is, and whose it is, the bucket says.

API: S3 HeadBucket, GetBucketTagging.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TypeVar

from orchestrator.aws.errors import AwsError
from orchestrator.ownership_tags import Marks, mapping
from orchestrator.resources import Aws, standing_marks
from orchestrator.vocabulary import Scope

Seen = TypeVar("Seen")

NOT_THERE = ("404", "NoSuchBucket")
NO_BUCKET = (*NOT_THERE, "403", "Forbidden", "AccessDenied")


def inside(aws: Aws, scope: Scope, name: str, look: Callable[[Mapping[str, str]], Seen]) -> tuple[Seen, Marks] | None:
    """What ``look`` sees in bucket ``name``, given how to name the bucket to S3, and whose the bucket is.

    None only where there is no bucket of ours.  Raises AwsError.
    """
    where = {"Bucket": name, "ExpectedBucketOwner": scope.account}
    try:
        seen = look(where)
    except AwsError as error:
        if _is_absent(aws, where, error.code):
            return None
        raise
    return seen, standing_marks(aws, scope, f"arn:aws:s3:::{name}", lambda: _tags(aws, where))


def _tags(aws: Aws, where: Mapping[str, str]) -> dict[str, str]:
    answer = aws.get("s3", "get_bucket_tagging", missing=("NoSuchTagSet", "NoSuchBucket"), **where) or {}
    return mapping(answer.get("TagSet"))


def _is_absent(aws: Aws, where: Mapping[str, str], code: str) -> bool:
    """Whether a refusal means that there is no bucket of ours; a missing permission means nothing of the kind."""
    return code in NOT_THERE or (code in NO_BUCKET and aws.get("s3", "head_bucket", missing=NO_BUCKET, **where) is None)
