"""A process that runs one command: how seldom it looks for garbage, and how it ends.

Nearly all that a command makes (modules, AWS's service models, listings) lives until its end.  Looking for garbage
among it would be a fifth of the time of a plan, and half of reading a long listing; giving it back is 4 %.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

GC_THRESHOLDS = (500_000, 20, 100)


def tune_gc() -> None:
    """From now on Python looks for garbage seldom."""
    gc.set_threshold(*GC_THRESHOLDS)


def flush_and_exit(code: int) -> NoReturn:
    """Leave at once with ``code``, or with 1 instead of 0 when the last of the output could not be written.

    Files and folders are closed and removed by whoever opened them; nothing here waits for the interpreter's own end.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 1
    os._exit(code)
