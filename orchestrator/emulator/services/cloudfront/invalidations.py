"""Emulate CloudFront's invalidation batches: idempotent by caller reference, limited, Completed over time."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.services.cloudfront.entity import check_quantities, current_time, generate_id

_MAX_PATHS_IN_PROGRESS = 3000
_MAX_WILDCARDS_IN_PROGRESS = 15


@dataclass
class Invalidation:
    """One batch; Completed from ``completes_at`` on, a time of the monotonic clock."""

    batch: Params
    completes_at: float
    id: str = field(default_factory=lambda: "I" + generate_id()[1:])
    created_at: datetime = field(default_factory=current_time)

    @property
    def status(self) -> str:
        """Return InProgress or Completed."""
        return "Completed" if time.monotonic() >= self.completes_at else "InProgress"

    @property
    def paths(self) -> list[str]:
        """Return the paths."""
        return list(self.batch["Paths"].get("Items", []))

    def shape(self) -> Params:
        """Return the Invalidation shape."""
        return {"Id": self.id, "Status": self.status, "CreateTime": self.created_at, "InvalidationBatch": self.batch}


def add_invalidation(invalidations: list[Invalidation], batch_params: Params, seconds: float) -> Invalidation:
    """Return the existing invalidation for a caller reference, or add a new one to ``invalidations``.

    Raises AwsError InvalidArgument for the same reference with other paths, TooManyInvalidationsInProgress.
    """
    check_quantities(batch_params)
    paths = batch_params["Paths"].get("Items", [])
    if not paths or not all(map(_is_valid_path, paths)):
        raise AwsError("InvalidArgument", "Your request contains one or more invalid invalidation paths.", 400)
    for existing in invalidations:
        if existing.batch["CallerReference"] == batch_params["CallerReference"]:
            if sorted(existing.paths) == sorted(paths):
                return existing
            raise AwsError("InvalidArgument", "The caller reference was used for another invalidation batch.", 400)
    paths_in_progress = [
        path for existing in invalidations if existing.status != "Completed" for path in existing.paths
    ] + paths
    wildcard_paths = [path for path in paths_in_progress if "*" in path]
    if (
        len(wildcard_paths) > _MAX_WILDCARDS_IN_PROGRESS
        or len(paths_in_progress) - len(wildcard_paths) > _MAX_PATHS_IN_PROGRESS
    ):
        message = "You have exceeded the maximum number of allowable InProgress invalidation batch requests."
        raise AwsError("TooManyInvalidationsInProgress", message, 400)
    invalidation = Invalidation(batch_params, time.monotonic() + seconds)
    invalidations.append(invalidation)
    return invalidation


def _is_valid_path(path: str) -> bool:
    """Return whether CloudFront accepts a path.

    It has to begin with a slash, and spaces, ``~`` and non-ASCII characters have to be encoded
    (https://github.com/aws/aws-sdk/issues/525, https://github.com/bep/s3deploy/pull/46).
    """
    return path.startswith("/") and path.isascii() and path.isprintable() and not set(" ~") & set(path)
