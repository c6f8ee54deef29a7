"""CloudFront's invalidation batches: idempotent by caller reference, limited in number, Completed after a while."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from datetime import datetime

from orchestrator.emulator.errors import AwsError
from orchestrator.emulator.server_protocol import Params
from orchestrator.emulator.services.cloudfront.entity import check_quantities, entity_id, now

_PATHS_IN_PROGRESS = 3000
_WILDCARDS_IN_PROGRESS = 15


@dataclass
class Invalidation:
    """One batch; Completed from ``ends`` on, a time of the monotonic clock."""

    batch: Params
    ends: float
    id: str = field(default_factory=lambda: "I" + entity_id()[1:])
    created: datetime = field(default_factory=now)

    @property
    def status(self) -> str:
        """InProgress or Completed."""
        return "Completed" if time.monotonic() >= self.ends else "InProgress"

    @property
    def paths(self) -> list[str]:
        """The paths."""
        return list(self.batch["Paths"].get("Items", []))

    def shape(self) -> Params:
        """The Invalidation shape."""
        return {"Id": self.id, "Status": self.status, "CreateTime": self.created, "InvalidationBatch": self.batch}


def batch(known: list[Invalidation], wanted: Params, seconds: float) -> Invalidation:
    """The invalidation for a batch, added to ``known`` unless its caller reference made it before.

    Raises AwsError InvalidArgument for the same reference with other paths, TooManyInvalidationsInProgress.
    """
    check_quantities(wanted)
    paths = wanted["Paths"].get("Items", [])
    if not paths or any(not path.startswith("/") for path in paths):
        raise AwsError("InvalidArgument", "Your request contains one or more invalid invalidation paths.", 400)
    for each in known:
        if each.batch["CallerReference"] == wanted["CallerReference"]:
            if sorted(each.paths) == sorted(paths):
                return each
            raise AwsError("InvalidArgument", "The caller reference was used for another invalidation batch.", 400)
    running = [path for each in known if each.status != "Completed" for path in each.paths] + paths
    wild = [path for path in running if "*" in path]
    if len(wild) > _WILDCARDS_IN_PROGRESS or len(running) - len(wild) > _PATHS_IN_PROGRESS:
        message = "You have exceeded the maximum number of allowable InProgress invalidation batch requests."
        raise AwsError("TooManyInvalidationsInProgress", message, 400)
    made = Invalidation(wanted, time.monotonic() + seconds)
    known.append(made)
    return made
