"""Many calls at once: as many threads as pay, which stop when one call fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestrator.steps import ApiCall

MAX_WORKERS = 64
"""Calls that are under way at once; S3 answers one in about 50 ms, and a connection costs 2 ms to set up."""
MIN_CALLS_PER_WORKER = 4
"""Calls that are worth a thread and a connection of their own."""


def perform_all(
    calls: Sequence[ApiCall], perform_call: Callable[[ApiCall], Any], on_progress: Callable[[int], None]
) -> None:
    """``do`` every call; after each, ``tell`` how many are done.

    Whatever ``do`` or ``tell`` raises is raised here, once the calls under way have ended; no other begins.
    """
    workers = min(MAX_WORKERS, 1 + len(calls) // MIN_CALLS_PER_WORKER)
    call_queue = _CallQueue(calls, perform_call, on_progress)
    with ThreadPoolExecutor(workers, thread_name_prefix="batch") as pool:
        for future in [pool.submit(call_queue.process_calls) for _ in range(workers)]:
            future.result()


class _CallQueue:
    """What the threads of one batch share."""

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
        """Take calls until there are none."""
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
