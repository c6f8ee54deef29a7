"""What the store can be asked for, and what it counts: filters of listings, the delivery metrics."""

from __future__ import annotations

from msgspec import Struct


class DeliveryMetrics(Struct, frozen=True):
    """The four delivery metrics of one week that begins on ``week``; times in seconds, None where there is nothing."""

    week: str
    deploys: int
    failures: int
    lead_seconds: float | None = None
    restore_seconds: float | None = None

    @property
    def failure_rate(self) -> float | None:
        return self.failures / self.deploys if self.deploys else None


class RunFilter(Struct, frozen=True):
    """Which runs; an empty word lets all through."""

    environment: str = ""
    status: str = ""
    verb: str = ""
    by: str = ""
    commit: str = ""
    since: str = ""
    until: str = ""


class HistoryFilter(Struct, frozen=True):
    """Which entries of the history; an empty word lets all through."""

    environment: str = ""
    deed: str = ""
    by: str = ""
    since: str = ""
    until: str = ""
