"""The result of a restore drill, as the tag of a database's instance keeps it."""

from __future__ import annotations

from datetime import datetime

from msgspec import Struct

PASSED, FAILED, UNVERIFIED = "passed", "failed", "unverified"


class DrillResult(Struct, frozen=True):
    """How a drill ended: ``passed``, ``failed`` or ``unverified`` (restored, but nobody looked into it).

    ``seconds``: from the restoring call until the restored database could be used.
    """

    verdict: str
    at: datetime
    seconds: int

    @classmethod
    def parse(cls, text: str) -> DrillResult | None:
        """Return the result in a tag, or None if it is none."""
        verdict, _, rest = text.partition(" ")
        moment, _, seconds = rest.partition(" ")
        try:
            return cls(verdict, datetime.fromisoformat(moment), int(seconds))
        except ValueError:
            return None

    def __str__(self) -> str:
        return f"{self.verdict} {self.at.isoformat(timespec='seconds')} {self.seconds}"
