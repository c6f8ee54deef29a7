"""Limit the requests of each client: by its address, and by its identity once that is known."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

from anyio import CapacityLimiter, to_thread
from starlette.types import Scope

MAX_REQUESTS_PER_SECOND, MAX_BURST_REQUESTS = 200.0, 400.0
"""Requests per second of one client, and the size of its burst."""
MAX_SIGN_INS_PER_SECOND, MAX_BURST_SIGN_INS = 0.2, 20.0
MAX_IDENTIFYING_REQUESTS, IDENTIFYING_THREADS = 64, 2
"""Requests over the limit of their address whose credentials are checked at once, and the threads that do it."""
CREDENTIAL_HEADERS = ("authorization", "cookie", "x-orchestrator-user")


class RateLimiter:
    """A token bucket per client; drops the oldest client beyond MAX_CLIENTS."""

    MAX_CLIENTS = 10_000

    def __init__(self, rate_per_second: float, burst: float) -> None:
        self._rate_per_second, self._burst = rate_per_second, burst
        self._buckets: dict[str, tuple[float, float]] = {}

    def try_acquire(self, client: str, now: float) -> bool:
        """Return whether the client may make one more request at ``now`` (monotonic seconds)."""
        available, updated_at = self._buckets.pop(client, (self._burst, now))
        available = min(self._burst, available + (now - updated_at) * self._rate_per_second)
        if len(self._buckets) >= self.MAX_CLIENTS:
            self._buckets.pop(next(iter(self._buckets)))
        self._buckets[client] = (available - 1 if available >= 1 else available, now)
        return available >= 1


class RequestLimits:
    """The limits of all clients.

    A client over the limit of its address is still served if it proves its identity, within the limit of that: many
    clients may share an address, and no stranger among them may keep the others out.
    """

    def __init__(self, identify: Callable[[Scope], str], max_burst_requests: float = MAX_BURST_REQUESTS) -> None:
        """``identify`` returns the name of an authenticated client, else ""; it may query the database."""
        self._identify = identify
        self._by_address = RateLimiter(MAX_REQUESTS_PER_SECOND, max_burst_requests)
        self._by_identity = RateLimiter(MAX_REQUESTS_PER_SECOND, max_burst_requests)
        self._sign_ins = RateLimiter(MAX_SIGN_INS_PER_SECOND, MAX_BURST_SIGN_INS)
        self._identifying_count = 0
        self._threads: Any = None

    async def try_acquire(self, scope: Scope, headers: dict[str, str], address: str) -> bool:
        """Return whether a request may be served."""
        now = time.monotonic()
        if scope["path"].startswith("/auth/") and not self._sign_ins.try_acquire(address, now):
            return False
        return self._by_address.try_acquire(address, now) or await self._try_acquire_by_identity(scope, headers, now)

    async def _try_acquire_by_identity(self, scope: Scope, headers: dict[str, str], now: float) -> bool:
        has_credential = any(name in headers for name in CREDENTIAL_HEADERS)
        if not has_credential or self._identifying_count >= MAX_IDENTIFYING_REQUESTS:
            return False
        self._threads = self._threads or CapacityLimiter(IDENTIFYING_THREADS)
        self._identifying_count += 1
        try:
            name = await to_thread.run_sync(self._identify, scope, limiter=self._threads)
        finally:
            self._identifying_count -= 1
        return bool(name) and self._by_identity.try_acquire(name, now)
