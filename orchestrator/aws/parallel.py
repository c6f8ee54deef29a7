"""Many calls at once: as many threads as pay, which stop when one call fails."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from orchestrator.steps import Call

MOST = 64
"""Calls that are under way at once; S3 answers one in about 50 ms, and a connection costs 2 ms to set up."""
FEWEST_EACH = 4
"""Calls that are worth a thread and a connection of their own."""


def perform(calls: Sequence[Call], do: Callable[[Call], Any], tell: Callable[[int], None]) -> None:
    """``do`` every call; after each, ``tell`` how many are done.

    Whatever ``do`` or ``tell`` raises is raised here, once the calls under way have ended; no other begins.
    """
    workers = min(MOST, 1 + len(calls) // FEWEST_EACH)
    crowd = _Crowd(calls, do, tell)
    with ThreadPoolExecutor(workers, thread_name_prefix="batch") as pool:
        for future in [pool.submit(crowd.work) for _ in range(workers)]:
            future.result()


class _Crowd:
    """What the threads of one batch share."""

    def __init__(self, calls: Sequence[Call], do: Callable[[Call], Any], tell: Callable[[int], None]) -> None:
        self._waiting: Iterator[Call] = iter(calls)
        self._do = do
        self._tell = tell
        self._lock = threading.Lock()
        self._done = 0
        self._failed = False

    def work(self) -> None:
        """Take calls until there are none."""
        while (call := self._next()) is not None:
            try:
                self._do(call)
                self._count()
            except BaseException:
                self._failed = True
                raise

    def _next(self) -> Call | None:
        with self._lock:
            return None if self._failed else next(self._waiting, None)

    def _count(self) -> None:
        with self._lock:
            self._done += 1
            self._tell(self._done)
