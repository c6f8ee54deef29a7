"""Measure time that also passes while the machine is suspended.

May know: the standard library.  May not: tell the time of day.
"""

from __future__ import annotations

import threading
import time
from collections.abc import Callable


def boot_time() -> float:
    """Return seconds of a clock that also counts while the machine is suspended, unlike ``time.monotonic`` on Linux."""
    return time.clock_gettime(getattr(time, "CLOCK_BOOTTIME", time.CLOCK_MONOTONIC))


class SuspendAwareClock:
    """Seconds that never go back, and that pass while the machine, or the virtual machine that it is, is suspended.

    A virtual machine whose host sleeps has no clock that counts, but its wall clock is set forward afterwards: of both
    clocks the one counts that has moved further.  A wall clock that is set forward by mistake only makes time pass
    sooner, so a lease is confirmed once more; one that is set back changes nothing.
    """

    def __init__(
        self, elapsed_clock: Callable[[], float] = boot_time, wall_clock: Callable[[], float] = time.time
    ) -> None:
        self._clocks = (elapsed_clock, wall_clock)
        self._readings = (elapsed_clock(), wall_clock())
        self._seconds = 0.0
        self._lock = threading.Lock()

    def __call__(self) -> float:
        """Return the seconds since the clock was made."""
        with self._lock:
            readings = (self._clocks[0](), self._clocks[1]())
            steps = (reading - previous for reading, previous in zip(readings, self._readings, strict=True))
            self._seconds += max(0.0, *steps)
            self._readings = readings
            return self._seconds


suspend_aware_time = SuspendAwareClock()
"""The clock of this process."""
