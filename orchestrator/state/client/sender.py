"""Send the requests of a run in the background and in order, and renew its lease.

Nothing here stops a run: ``lost_reason`` says that the run has lost its lease, and ``service_reporter`` decides.
"""

from __future__ import annotations

import threading
import time
from collections import deque
from collections.abc import Callable
from typing import Any

from msgspec import Struct
from msgspec.structs import replace

from orchestrator.state.client.api_client import RefusedError, StateClient, UnreachableError
from orchestrator.state.protocol.lease_queue import LEASE_TTL_SECONDS
from orchestrator.state.protocol.requests import EventBatch, RenewLeaseRequest
from orchestrator.suspend_aware_clock import suspend_aware_time

MAX_EVENTS_PER_REQUEST = 500
BATCH_DELAY_SECONDS = 0.1
"""Seconds for which events are collected into one request."""
REQUEST_TIMEOUT_SECONDS = 2.0
"""Seconds until a request times out; it is repeated until the sender is closed."""
HEARTBEAT_INTERVAL_SECONDS = LEASE_TTL_SECONDS / 4
LOST_LEASE_TYPES = frozenset({"lost-lease", "run-over"})


class QueuedRequest(Struct, frozen=True):
    """One request; a body with a ``fence`` field gets the fence of the run."""

    method: str
    path: str
    body: Any

    def body_with_fence(self, fence: int) -> Any:
        """Return the body with the fence of the lease holder."""
        return replace(self.body, fence=fence) if hasattr(self.body, "fence") else self.body


class RequestSender:
    """Sends requests one after the other; ``lost_reason`` says why it has stopped, "" while it has not."""

    def __init__(self, client: StateClient, fence: int) -> None:
        self.lost_reason = ""
        self.refused: list[str] = []
        self._client = client
        self._fence = fence
        self._pending: deque[QueuedRequest] = deque()
        self._condition = threading.Condition()
        self._deadline: float | None = None
        self._thread = threading.Thread(target=self._run, name="request-sender", daemon=True)
        self._thread.start()

    def enqueue(self, request: QueuedRequest) -> None:
        """Send a request after all earlier ones."""
        with self._condition:
            self._pending.append(request)
            self._condition.notify()

    def close(self, timeout_seconds: float) -> int:
        """Wait until all requests are sent, for at most ``timeout_seconds``; return the number left."""
        with self._condition:
            self._deadline = time.monotonic() + timeout_seconds
            self._condition.notify()
        self._thread.join(timeout_seconds + 15)
        return len(self._pending)

    def _run(self) -> None:
        while (batch := self._next_batch()) and not self.lost_reason:
            request, count = batch
            try:
                self._client.request(
                    request.method,
                    request.path,
                    request.body_with_fence(self._fence),
                    timeout_seconds=REQUEST_TIMEOUT_SECONDS,
                )
            except UnreachableError:
                if self._deadline is not None and time.monotonic() > self._deadline:
                    return
                continue
            except RefusedError as error:
                if error.problem_type in LOST_LEASE_TYPES:
                    self.lost_reason = error.detail
                    return
                self.refused.append(f"{request.method} {request.path}: {error.detail}")
            with self._condition:
                for _ in range(count):
                    self._pending.popleft()

    def _next_batch(self) -> tuple[QueuedRequest, int] | None:
        """Return the next request and the number of queued requests in it; None if the queue is closed and empty."""
        with self._condition:
            while not self._pending:
                if self._deadline is not None:
                    return None
                self._condition.wait()
        if self._deadline is None:
            time.sleep(BATCH_DELAY_SECONDS)
        with self._condition:
            first_request = self._pending[0]
            if not isinstance(first_request.body, EventBatch):
                return first_request, 1
            events: list[Any] = []
            count = 0
            for request in self._pending:
                if not isinstance(request.body, EventBatch) or len(events) >= MAX_EVENTS_PER_REQUEST:
                    break
                events += request.body.events
                count += 1
            return QueuedRequest(first_request.method, first_request.path, EventBatch(tuple(events))), count


class LeaseHeartbeat:
    """Renews the lease of a run periodically; ``lost_reason`` says why it was lost, "" while it is held."""

    def __init__(
        self,
        client: StateClient,
        run: str,
        fence: int,
        *,
        interval_seconds: float = HEARTBEAT_INTERVAL_SECONDS,
        ttl_seconds: float = LEASE_TTL_SECONDS,
        clock: Callable[[], float] = suspend_aware_time,
    ) -> None:
        self.lost_reason = ""
        self._client = client
        self._path = f"/runs/{run}/lease"
        self._renewal = RenewLeaseRequest(fence)
        self._interval_seconds, self._ttl_seconds = interval_seconds, ttl_seconds
        self._clock = clock
        self._renewed_at = self._requested_at = clock()
        self._renew_lock = threading.Lock()
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, name="lease-heartbeat", daemon=True)
        self._thread.start()

    def is_lease_held(self) -> bool:
        """Return whether the lease is confirmed to be held; renews it first if the last confirmation is too old.

        This protects a process that was suspended: it renews here before it does anything else.
        """
        if self._clock() - self._renewed_at < self._ttl_seconds:
            return not self.lost_reason
        with self._renew_lock:
            now = self._clock()
            if now - self._renewed_at >= self._ttl_seconds and now - self._requested_at >= REQUEST_TIMEOUT_SECONDS:
                self.renew(REQUEST_TIMEOUT_SECONDS)
        return not self.lost_reason and self._clock() - self._renewed_at < self._ttl_seconds

    def renew(self, timeout_seconds: float) -> None:
        """Renew the lease once."""
        started = self._requested_at = self._clock()
        try:
            self._client.request("POST", self._path, self._renewal, timeout_seconds=timeout_seconds)
        except UnreachableError:
            return
        except RefusedError as error:
            self.lost_reason = error.detail if error.problem_type in LOST_LEASE_TYPES else self.lost_reason
            return
        self._renewed_at = started

    def stop(self) -> None:
        """Stop renewing."""
        self._stop.set()
        self._thread.join(REQUEST_TIMEOUT_SECONDS)

    def _run(self) -> None:
        while not self._stop.wait(self._interval_seconds) and not self.lost_reason:
            self.renew(self._interval_seconds / 2)
