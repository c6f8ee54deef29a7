"""Define the filters of listings and the delivery metrics."""

from __future__ import annotations

from msgspec import Struct


class DeliveryMetrics(Struct, frozen=True):
    """The delivery metrics of the week that starts on ``week``; medians in seconds, None without data."""

    week: str
    deploys: int
    failures: int
    lead_seconds: float | None = None
    restore_seconds: float | None = None

    @property
    def failure_rate(self) -> float | None:
        return self.failures / self.deploys if self.deploys else None


class RunFilter(Struct, frozen=True):
    """Selects runs; an empty field matches all."""

    environment: str = ""
    status: str = ""
    verb: str = ""
    by: str = ""
    commit: str = ""
    since: str = ""
    until: str = ""


class HistoryFilter(Struct, frozen=True):
    """Selects entries of the history; an empty field matches all."""

    environment: str = ""
    deed: str = ""
    by: str = ""
    since: str = ""
    until: str = ""
