"""The keys of a bucket, in slices asked for at once: of a site one knows which keys there should be.

A listing comes a thousand keys at a time, each page by the last key of the one before, so that a large site would be
waited for page by page.  The keys that the site should have tell where pages could begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from orchestrator.resources import Aws

PAGE = 1000
"""Keys that one ListObjectsV2 tells at the most."""
OTHERS = 100
"""Keys of a slice that are none of the site, such as parts of older ones, for which no further page is asked."""
AT_ONCE = 16


def keys(
    aws: Aws, bucket: str, owner: str, expected: Sequence[str], *, page: int = PAGE, others: int = OTHERS
) -> dict[str, Mapping[str, Any]]:
    """Everything that is in ``bucket``, by key, in S3's order.  API: S3 ListObjectsV2, once a slice where it fits."""
    ordered = sorted(path.encode() for path in expected)
    slices = 1 + len(ordered) // page
    if slices == 1:
        listed = aws.all("s3", "list_objects_v2", "Contents", Bucket=bucket, ExpectedBucketOwner=owner)
        return {item["Key"]: item for item in listed}
    size = -(-len(ordered) // slices)
    bounds = [None, *(ordered[place - 1].decode() for place in range(size, len(ordered), size)), None]
    fixed: dict[str, Any] = {"Bucket": bucket, "ExpectedBucketOwner": owner, "MaxKeys": min(page, size + others)}
    with ThreadPoolExecutor(AT_ONCE, thread_name_prefix="list") as pool:
        parts = pool.map(lambda pair: list(_slice(aws, fixed, *pair)), pairwise(bounds))
        return {item["Key"]: item for part in parts for item in part}


def _slice(aws: Aws, fixed: Mapping[str, Any], after: str | None, until: str | None) -> Iterator[Mapping[str, Any]]:
    """The objects behind ``after`` up to ``until``, and maybe some more."""
    end = until.encode() if until is not None else None
    while True:
        start: dict[str, Any] = {} if after is None else {"StartAfter": after}
        page = aws.get("s3", "list_objects_v2", **fixed, **start)
        items = page.get("Contents") or []
        yield from items
        last = items[-1]["Key"] if items else None
        if not page.get("IsTruncated") or last is None or (end is not None and last.encode() >= end):
            return
        after = last
