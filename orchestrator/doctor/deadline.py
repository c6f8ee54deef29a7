"""Work beside each other, none of it waited for longer than all may take."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from typing import TypeVar

T = TypeVar("T")


class Deadline:
    """One deadline for everything that is begun."""

    def __init__(self, timeout_seconds: float) -> None:
        self.timeout_seconds = timeout_seconds
        self._expires_at = time.monotonic() + timeout_seconds

    def start(self, work: Callable[[], T]) -> Future[T]:
        """Begin ``work`` in a thread that keeps no process alive: a lookup that hangs ends with us."""
        future: Future[T] = Future()

        def run() -> None:
            try:
                future.set_result(work())
            except BaseException as error:  # noqa: BLE001 - whoever waits is told, whatever it was
                future.set_exception(error)

        threading.Thread(target=run, name="doctor", daemon=True).start()
        return future

    def result(self, future: Future[T]) -> T:
        """What ``future`` came to.  Raises TimeoutError when the time is up."""
        return future.result(max(0.0, self._expires_at - time.monotonic()))
