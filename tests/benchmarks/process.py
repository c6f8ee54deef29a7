"""Measure a whole process: wall time, CPU time, peak memory, exit code and output.

The calling process must stay small: on Linux the child's peak includes the parent's memory at the fork.
"""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import psutil

SAMPLES_PER_SECOND = 4
MAXRSS_UNIT_BYTES = 1 if sys.platform == "darwin" else 1024
FILTERED_PREFIXES = ("AWS_", "GITHUB_", "ORCHESTRATOR_", "PYTHON", "TF_")


@dataclass(frozen=True, slots=True)
class Sample:
    """One run: wall seconds, CPU seconds (user and system, including children), peak memory in bytes.

    ``peak`` is the total of the program and its child processes, sampled four times a second, and at least the peak
    that the system reports for the largest of them.  ``calls``: AWS calls that the emulator counted, if one was used.
    """

    wall: float
    cpu: float
    peak: int
    exit_code: int
    output: str
    calls: int = 0


def measure(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Sample:
    """Run ``command`` in our environment, without AWS, GitHub and similar variables, plus ``environment``."""
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FILTERED_PREFIXES)}
    with tempfile.TemporaryFile() as output:
        started_at = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=cwd, env={**inherited, **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        is_done, peak_bytes = threading.Event(), [0]
        watcher = threading.Thread(target=_track_memory, args=(child.pid, is_done, peak_bytes))
        watcher.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - started_at
        is_done.set()
        watcher.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return Sample(
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            peak=max(peak_bytes[0], usage.ru_maxrss * MAXRSS_UNIT_BYTES),
            exit_code=child.returncode,
            output=output.read().decode(errors="replace"),
        )


def _track_memory(pid: int, is_done: threading.Event, peak_bytes: list[int]) -> None:
    """Track in ``peak_bytes`` the peak total memory of a process and its descendants."""
    while not is_done.wait(1 / SAMPLES_PER_SECOND):
        try:
            root = psutil.Process(pid)
            total_bytes = sum(process.memory_info().rss for process in (root, *root.children(recursive=True)))
        except psutil.Error:
            continue
        peak_bytes[0] = max(peak_bytes[0], total_bytes)
