"""Run work in parallel threads under one deadline."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """One deadline for all work that is started."""

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._expires_at = time.monotonic() + timeout_seconds

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Start ``work`` in a daemon thread, so that a hanging lookup does not keep the process alive."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - the waiting thread raises it
                future.set_exception(error)

        threading.Thread(target=run, name="doctor", daemon=True).start()
        return future

    def result(self, future: Future[T]) -> T:
        """Return the result of ``future``.  Raises TimeoutError at the deadline."""
        return future.result(max(0.0, self._expires_at - time.monotonic()))
