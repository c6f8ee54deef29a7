"""Make many calls in parallel, and stop when one fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from typing import Any

from orchestrator import interruption
from orchestrator.steps import ApiCall

MAX_WORKERS = 64
"""Calls in progress at once; S3 answers one in about 50 ms, and a connection takes 2 ms to set up."""
MIN_CALLS_PER_WORKER = 4
"""Calls that justify a further thread and connection."""


def perform_all(
    calls: Sequence[ApiCall], perform_call: Callable[[ApiCall], Any], on_progress: Callable[[int], None]
) -> None:
    """Perform every call and report the number of completed calls to ``on_progress`` after each.

    Raises whatever ``perform_call`` or ``on_progress`` raises, once the calls in progress have ended; no others start.
    """
    workers = min(MAX_WORKERS, 1 + len(calls) // MIN_CALLS_PER_WORKER)
    call_queue = _CallQueue(calls, perform_call, on_progress)
    with interruption.start_pool(workers, "batch") as pool:
        for future in [pool.submit(call_queue.process_calls) for _ in range(workers)]:
            future.result()


class _CallQueue:
    """The state that the threads of one batch share."""

    def __init__(
        self, calls: Sequence[ApiCall], perform_call: Callable[[ApiCall], Any], on_progress: Callable[[int], None]
    ) -> None:
        self._pending: Iterator[ApiCall] = iter(calls)
        self._perform_call = perform_call
        self._on_progress = on_progress
        self._lock = threading.Lock()
        self._completed = 0
        self._failed = False

    def process_calls(self) -> None:
        """Perform calls until none are left."""
        while (call := self._take_next()) is not None:
            try:
                self._perform_call(call)
                self._report_completed()
            except BaseException:
                self._failed = True
                raise

    def _take_next(self) -> ApiCall | None:
        with self._lock:
            return None if self._failed else next(self._pending, None)

    def _report_completed(self) -> None:
        with self._lock:
            self._completed += 1
            self._on_progress(self._completed)
