"""Tune garbage collection for a process that runs one command, and end the process quickly.

Nearly everything a command allocates (modules, AWS's service models, listings) lives until the process ends.
Collecting garbage would take a fifth of the time of a plan and half of reading a long listing; freeing it at exit 4 %.
"""

from __future__ import annotations

import gc
import os
import sys
from typing import NoReturn

GC_THRESHOLDS = (500_000, 20, 100)


def tune_gc() -> None:
    """Make Python run the garbage collector rarely."""
    gc.set_threshold(*GC_THRESHOLDS)


def flush_and_exit(code: int) -> NoReturn:
    """Exit immediately with ``code``, or with 1 instead of 0 if the remaining output cannot be written.

    Skips the interpreter's shutdown: whoever opened files or temporary folders must have closed and removed them.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            stream.flush()
        except (OSError, ValueError):
            code = code or 1
    os._exit(code)
