"""The keys of a bucket, in slices asked for at once: of a site one knows which keys there should be.

A listing comes a thousand keys at a time, each page by the last key of the one before, so that a large site would be
waited for page by page.  The keys that the site should have tell where pages could begin.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from typing import Any

from orchestrator.resources import AwsReader

MAX_KEYS_PER_PAGE = 1000
"""Keys that one ListObjectsV2 tells at the most."""
MAX_EXTRA_KEYS = 100
"""Keys of a slice that are none of the site, such as parts of older ones, for which no further page is asked."""
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
    """Everything that is in ``bucket``, by key, in S3's order.  API: S3 ListObjectsV2, once a slice where it fits."""
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
    with ThreadPoolExecutor(MAX_WORKERS, thread_name_prefix="list") as pool:
        results = pool.map(lambda bound_pair: list(_list_slice(aws, request, *bound_pair)), pairwise(bounds))
        return {item["Key"]: item for result in results for item in result}


def _list_slice(
    aws: AwsReader, request: Mapping[str, Any], after: str | None, until: str | None
) -> Iterator[Mapping[str, Any]]:
    """The objects behind ``after`` up to ``until``, and maybe some more."""
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
