"""Invalidate changed files in CloudFront with as few paths as possible. API: CloudFront CreateInvalidation."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from orchestrator.steps import Compute, Steps, call

MAX_PATHS = 15
"""Maximum number of paths per invalidation; beyond it, a whole pattern is invalidated, which counts as one path."""


def invalidate(distributions: Iterable[Mapping[str, Any]], paths: Sequence[str], index_path: str) -> Steps:
    """Invalidate the changed ``paths`` in each distribution (``id``, and the ``patterns`` served from the bucket)."""
    for distribution in distributions:
        items = _build_paths(distribution["patterns"], paths, index_path)
        if items:
            reference = yield Compute("unique caller reference", _new_caller_reference, ())
            batch = {"Paths": {"Quantity": len(items), "Items": items}, "CallerReference": reference}
            yield call("cloudfront", "create_invalidation", DistributionId=distribution["id"], InvalidationBatch=batch)
    return {}


def _build_paths(patterns: Iterable[str], paths: Sequence[str], index_path: str) -> list[str]:
    invalidation_paths: list[str] = []
    for pattern in patterns:
        matching = [path for path in paths if fnmatchcase(path, pattern)]
        root_path = ["/"] if index_path in matching else []
        is_over_limit = len(matching) + len(root_path) > MAX_PATHS
        invalidation_paths += (
            [f"/{pattern}"] if is_over_limit else [*root_path, *(f"/{quote(path)}" for path in matching)]
        )
    return sorted(set(invalidation_paths))


def _new_caller_reference() -> str:
    """Return a unique reference. CloudFront answers a known one with the earlier invalidation and creates none."""
    return uuid.uuid4().hex
