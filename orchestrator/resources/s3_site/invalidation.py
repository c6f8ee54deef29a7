"""Has CDNs forget what has changed, by as few paths as there are.  API: CloudFront CreateInvalidation."""

from __future__ import annotations

import uuid
from collections.abc import Iterable, Mapping, Sequence
from fnmatch import fnmatchcase
from typing import Any
from urllib.parse import quote

from orchestrator.steps import Compute, Steps, call

MOST_PATHS = 15
"""Paths of one invalidation; beyond that a whole pattern is forgotten, which counts as one path."""


def forget(distributions: Iterable[Mapping[str, Any]], paths: Sequence[str], index: str) -> Steps:
    """Tell each distribution (``id``, and the ``patterns`` that it serves from the bucket) what has changed."""
    for one in distributions:
        items = _items(one["patterns"], paths, index)
        if items:
            reference = yield Compute("a reference of its own", _unique, ())
            batch = {"Paths": {"Quantity": len(items), "Items": items}, "CallerReference": reference}
            yield call("cloudfront", "create_invalidation", DistributionId=one["id"], InvalidationBatch=batch)
    return {}


def _items(patterns: Iterable[str], paths: Sequence[str], index: str) -> list[str]:
    found: list[str] = []
    for pattern in patterns:
        concerned = [path for path in paths if fnmatchcase(path, pattern)]
        root = ["/"] if index in concerned else []
        several = len(concerned) + len(root) > MOST_PATHS
        found += [f"/{pattern}"] if several else [*root, *(f"/{quote(path)}" for path in concerned)]
    return sorted(set(found))


def _unique() -> str:
    """CloudFront answers a reference that it knows with the invalidation that it made for it long ago."""
    return uuid.uuid4().hex
