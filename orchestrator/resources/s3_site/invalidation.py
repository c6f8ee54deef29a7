"""Invalidate changed files in CloudFront with as few paths as possible. API: CloudFront CreateInvalidation."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any

from orchestrator.steps import Compute, Steps, call

MAX_PATHS = 15
"""Maximum number of paths per invalidation; beyond it, a whole pattern is invalidated, which counts as one path."""


UNSAFE_CHARACTERS = frozenset(' <>"#%{}|\\^~[]`?')
"""What RFC 1738 calls unsafe, and ``?``, which would begin a query.

CloudFront wants these and non-ASCII characters encoded, and does not invalidate a path in which any other one is
(developer guide, "What you need to know when invalidating files"); a path with a plain ``~`` it refuses.
"""


def invalidate(distributions: Iterable[Mapping[str, Any]], paths: Sequence[str], prefix: str) -> Steps:
    """Invalidate the changed ``paths`` in each distribution (``id``, and the ``patterns`` served from the bucket).

    The site's front page is also served as ``/`` and its ``prefix``.
    """
    for distribution in distributions:
        items = _build_paths(distribution["patterns"], paths, prefix)
        if items:
            reference = yield Compute("unique caller reference", _new_caller_reference, ())
            batch = {"Paths": {"Quantity": len(items), "Items": items}, "CallerReference": reference}
            yield call("cloudfront", "create_invalidation", DistributionId=distribution["id"], InvalidationBatch=batch)
    return {}


def _build_paths(patterns: Iterable[str], paths: Sequence[str], prefix: str) -> list[str]:
    invalidation_paths: list[str] = []
    for pattern in patterns:
        matching = [path for path in paths if fnmatchcase(path, pattern)]
        root_path = [f"/{encode(prefix)}"] if f"{prefix}index.html" in matching else []
        is_over_limit = len(matching) + len(root_path) > MAX_PATHS
        invalidation_paths += (
            [f"/{pattern}"] if is_over_limit else [*root_path, *(f"/{encode(path)}" for path in matching)]
        )
    return sorted(set(invalidation_paths))


def encode(path: str) -> str:
    """Return a path as CloudFront expects it in an invalidation."""
    return "".join(
        char
        if char.isascii() and char.isprintable() and char not in UNSAFE_CHARACTERS
        else "".join(f"%{byte:02X}" for byte in char.encode())
        for char in path
    )


def _new_caller_reference() -> str:
    """Return a unique reference. CloudFront answers a known one with the earlier invalidation and creates none."""
    return uuid.uuid4().hex
