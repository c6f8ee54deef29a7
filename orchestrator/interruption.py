"""End the pauses of worker threads at once when a run is interrupted.

Ctrl-C raises KeyboardInterrupt in the main thread only.  A worker thread that sleeps, between two attempts of a call or
two looks at AWS, would keep the main thread waiting for it: botocore's attempts of one throttled call take 40 seconds.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager

from orchestrator.problems import ExitCode, Problem, Problems

STOPPED_WAIT_REASON = "the run was stopped while waiting for AWS, which continues the operation; run the command again"
_thread = threading.local()


class InterruptibleClock:
    """The clock of a run's waits: from the moment the run is stopped, nothing sleeps any more.

    What AWS was asked for goes on in AWS; the next run reads how far it is.
    """

    def __init__(self) -> None:
        self.stop_requested = threading.Event()

    def monotonic(self) -> float:
        """Return seconds since some moment in the past."""
        return time.monotonic()

    def sleep(self, seconds: float, /) -> None:
        """Sleep.  Raises Problems with ``ExitCode.INTERRUPTED`` if the run is stopped before or meanwhile."""
        _wait(self.stop_requested, seconds)


def pause(seconds: float) -> None:
    """Sleep, in any thread.

    Raises Problems with ``ExitCode.INTERRUPTED`` if this is a thread of a pool below whose work is stopped.
    """
    stop_requested = current_stop_request()
    if stop_requested is None:
        time.sleep(seconds)
    else:
        _wait(stop_requested, seconds)


def current_stop_request() -> threading.Event | None:
    """Return the event that stops the work of this thread, if it belongs to a pool below."""
    return getattr(_thread, "stop_requested", None)


def start_pool(workers: int, name: str, stop_requested: threading.Event | None = None) -> ThreadPoolExecutor:
    """Return a pool of threads that pause no more once ``stop_requested`` is set.

    By default that is the event of the thread that starts the pool: work is stopped with the work that it is a part of.
    """
    stopping = stop_requested or current_stop_request() or threading.Event()
    return ThreadPoolExecutor(workers, name, initializer=_set_stop_request, initargs=(stopping,))


@contextmanager
def reading_pool(
    workers: int, name: str, stop_requested: threading.Event | None = None
) -> Iterator[ThreadPoolExecutor]:
    """Run a pool of threads that only read: on Ctrl-C they are left behind, and the process ends without them."""
    stop_requested = stop_requested or current_stop_request() or threading.Event()
    pool = start_pool(workers, name, stop_requested)
    try:
        yield pool
    except KeyboardInterrupt:
        stop_requested.set()
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    finally:
        pool.shutdown(wait=not stop_requested.is_set())


def _set_stop_request(stop_requested: threading.Event) -> None:
    _thread.stop_requested = stop_requested


def _wait(stop_requested: threading.Event, seconds: float) -> None:
    if stop_requested.wait(seconds):
        raise Problems([Problem(STOPPED_WAIT_REASON)], ExitCode.INTERRUPTED)
