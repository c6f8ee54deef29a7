"""One whole process, measured: wall time, processor time, peak memory, exit code, output.

The caller has to stay small: Linux counts what the parent held at the fork into the peak of the child.
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
    """One run: seconds on the clock, seconds of processor (user and system, children included), peak bytes.

    ``peak`` is of the program and its helpers together, as they were seen four times a second, and never less than
    what the system says of the largest of them.
    ``calls`` is what the emulator counted, where one was asked.
    """

    wall: float
    cpu: float
    peak: int
    exit_code: int
    output: str
    calls: int = 0


def measure(command: Sequence[str], *, cwd: Path, environment: Mapping[str, str]) -> Sample:
    """Run ``command`` to its end, in ``environment`` laid over what is neutral in ours."""
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
    """Keep in ``seen`` the most memory that a process and its descendants held at one time."""
    while not is_done.wait(1 / SAMPLES_PER_SECOND):
        try:
            root = psutil.Process(pid)
            total_bytes = sum(process.memory_info().rss for process in (root, *root.children(recursive=True)))
        except psutil.Error:
            continue
        peak_bytes[0] = max(peak_bytes[0], total_bytes)
