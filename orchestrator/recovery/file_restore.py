"""Plan which objects of a versioned bucket come back as they were at a moment. Pure but for the listing.

API: S3 ListObjectVersions, CopyObject with If-None-Match and If-Match: a file that somebody writes meanwhile stays.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from datetime import datetime
from typing import Any

from msgspec import Struct

from orchestrator.resources import AwsReader
from orchestrator.steps import ApiCall

MAX_COPY_BYTES = 5 * 1024**3
"""CopyObject copies at most this many bytes."""
PRECONDITION_CODES = ("PreconditionFailed", "412", "ConditionalRequestConflict")
"""Somebody wrote the object after it was listed: it stays as it is.

S3 answers a copy with If-Match over an object that was deleted meanwhile with NoSuchKey, as it does for a source that
it does not show yet: that is retried, and fails.
"""


class ObjectVersion(Struct, frozen=True):
    """One version of an object, or the mark of its deletion (``is_deletion``)."""

    key: str
    version_id: str
    modified: datetime
    etag: str = ""
    size: int = 0
    is_deletion: bool = False
    is_latest: bool = False


class FileCopy(Struct, frozen=True):
    """A version that becomes the current one; ``replaced_etag`` is the current object's, "" if there is none."""

    version: ObjectVersion
    replaced_etag: str = ""


class FileRestorePlan(Struct, frozen=True):
    """What comes back, what is newer and stays, and what is too large to copy; keys are sorted."""

    copies: tuple[FileCopy, ...]
    newer: tuple[str, ...]
    too_large: tuple[str, ...]

    @property
    def size(self) -> int:
        """Return the bytes that come back."""
        return sum(item.version.size for item in self.copies)


def list_versions(aws: AwsReader, bucket: str, prefix: str) -> list[ObjectVersion]:
    """Return every version and deletion below a prefix. Raises AwsError."""
    versions = aws.all("s3", "list_object_versions", "Versions", Bucket=bucket, Prefix=prefix)
    deletions = aws.all("s3", "list_object_versions", "DeleteMarkers", Bucket=bucket, Prefix=prefix)
    return [
        *(_parse_version(item, is_deletion=False) for item in versions),
        *(_parse_version(item, is_deletion=True) for item in deletions),
    ]


def _parse_version(item: Mapping[str, Any], *, is_deletion: bool) -> ObjectVersion:
    return ObjectVersion(
        item["Key"],
        item["VersionId"],
        item["LastModified"],
        str(item.get("ETag", "")).strip('"'),
        int(item.get("Size", 0)),
        is_deletion,
        bool(item.get("IsLatest")),
    )


def plan_files(versions: Iterable[ObjectVersion], moment: datetime, *, should_overwrite: bool) -> FileRestorePlan:
    """Return what has to be copied so that every object is as it was at ``moment``.

    Objects that were created later stay, and so do those that were written since, unless ``should_overwrite``.
    """
    by_key: dict[str, list[ObjectVersion]] = defaultdict(list)
    for version in versions:
        by_key[version.key].append(version)
    copies: list[FileCopy] = []
    newer: list[str] = []
    too_large: list[str] = []
    for key in sorted(by_key):
        earlier = [item for item in by_key[key] if item.modified <= moment]
        # S3's times have whole seconds: of two versions of one second, a later one is listed first.
        then = max(earlier, key=lambda item: (item.modified, item.is_latest), default=None)
        current = next((item for item in by_key[key] if item.is_latest), None)
        if then is None or then.is_deletion:
            continue
        is_missing = current is None or current.is_deletion
        if not is_missing and current is not None and current.etag == then.etag:
            continue
        if then.size > MAX_COPY_BYTES:
            too_large.append(key)
        elif is_missing:
            copies.append(FileCopy(then))
        elif should_overwrite and current is not None:
            copies.append(FileCopy(then, current.etag))
        else:
            newer.append(key)
    return FileRestorePlan(tuple(copies), tuple(newer), tuple(too_large))


def build_calls(bucket: str, plan: FileRestorePlan) -> Iterator[ApiCall]:
    """Yield the calls that copy each version over its object, on condition that nobody has written it since."""
    for item in plan.copies:
        version = item.version
        condition = {"IfMatch": f'"{item.replaced_etag}"'} if item.replaced_etag else {"IfNoneMatch": "*"}
        source = {"Bucket": bucket, "Key": version.key, "VersionId": version.version_id}
        request = {"Bucket": bucket, "Key": version.key, "CopySource": source, **condition}
        yield ApiCall("s3", "copy_object", request, ok_codes=PRECONDITION_CODES)
