"""List the keys of a bucket in parallel slices, using the keys that the site is expected to have.

A listing has a thousand keys per page and each page starts at the last key of the previous one, so a large site would
be listed page by page. The expected keys determine where slices can start.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from itertools import pairwise
from typing import Any

from orchestrator import interruption
from orchestrator.resources import AwsReader

MAX_KEYS_PER_PAGE = 1000
"""Maximum number of keys per ListObjectsV2."""
MAX_EXTRA_KEYS = 100
"""Unexpected keys per slice, such as assets of older sites, that fit without another page."""
MAX_WORKERS = 16


def list_objects(
    aws: AwsReader,
    bucket: str,
    account: str,
    expected: Sequence[str],
    *,
    page_size: int = MAX_KEYS_PER_PAGE,
    max_extra_keys: int = MAX_EXTRA_KEYS,
) -> dict[str, Mapping[str, Any]]:
    """Return every object in ``bucket`` by key, in S3's order. API: S3 ListObjectsV2, once per slice if it fits."""
    ordered = sorted(path.encode() for path in expected)
    slice_count = 1 + len(ordered) // page_size
    if slice_count == 1:
        items = aws.all("s3", "list_objects_v2", "Contents", Bucket=bucket, ExpectedBucketOwner=account)
        return {item["Key"]: item for item in items}
    slice_size = -(-len(ordered) // slice_count)
    bounds = [None, *(ordered[index - 1].decode() for index in range(slice_size, len(ordered), slice_size)), None]
    request: dict[str, Any] = {
        "Bucket": bucket,
        "ExpectedBucketOwner": account,
        "MaxKeys": min(page_size, slice_size + max_extra_keys),
    }
    with interruption.reading_pool(MAX_WORKERS, "list") as pool:
        results = pool.map(lambda bound_pair: list(_list_slice(aws, request, *bound_pair)), pairwise(bounds))
        return {item["Key"]: item for result in results for item in result}


def _list_slice(
    aws: AwsReader, request: Mapping[str, Any], after: str | None, until: str | None
) -> Iterator[Mapping[str, Any]]:
    """Yield the objects after key ``after`` up to ``until``, and possibly some more."""
    until_bytes = until.encode() if until is not None else None
    while True:
        start_params: dict[str, Any] = {} if after is None else {"StartAfter": after}
        response = aws.get("s3", "list_objects_v2", **request, **start_params)
        items = response.get("Contents") or []
        yield from items
        last_key = items[-1]["Key"] if items else None
        if (
            not response.get("IsTruncated")
            or last_key is None
            or (until_bytes is not None and last_key.encode() >= until_bytes)
        ):
            return
        after = last_key
