"""The metrics of the service, which Prometheus scrapes.  No label may hold what a client chooses freely."""

from __future__ import annotations

from prometheus_client import CollectorRegistry, Counter, Histogram

COUNTED_METHODS = frozenset({"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"})
"""Methods with a label of their own; clients may send any word."""


class ServiceMetrics:
    """The metrics that Prometheus scrapes."""

    def __init__(self) -> None:
        self.registry = CollectorRegistry()
        self.requests = Counter("http_requests", "Requests", ["method", "route", "status"], registry=self.registry)
        buckets = (0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 1, 5)
        self.seconds = Histogram("http_seconds", "Response time", ["route"], registry=self.registry, buckets=buckets)
        self.events = Counter("state_events", "Stored run events", registry=self.registry)

    def count_request(self, method: str, route: str, status: int, seconds: float) -> None:
        """Count a response; ``route`` is the pattern of its path, not the path."""
        self.requests.labels(method if method in COUNTED_METHODS else "other", route, str(status)).inc()
        self.seconds.labels(route).observe(seconds)
