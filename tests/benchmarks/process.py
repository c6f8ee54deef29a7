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

LOOKS_A_SECOND = 4
BYTES_OF_A_MAXRSS = 1 if sys.platform == "darwin" else 1024
FOREIGN = ("AWS_", "GITHUB_", "ORCHESTRATOR_", "PYTHON", "TF_")


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
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(FOREIGN)}
    with tempfile.TemporaryFile() as output:
        began = time.perf_counter()
        child = subprocess.Popen(
            command, cwd=cwd, env={**inherited, **environment}, stdin=subprocess.DEVNULL, stdout=output, stderr=output
        )
        ended, seen = threading.Event(), [0]
        watcher = threading.Thread(target=_watch, args=(child.pid, ended, seen))
        watcher.start()
        _, status, usage = os.wait4(child.pid, 0)
        wall = time.perf_counter() - began
        ended.set()
        watcher.join()
        child.returncode = os.waitstatus_to_exitcode(status)
        output.seek(0)
        return Sample(
            wall=wall,
            cpu=usage.ru_utime + usage.ru_stime,
            peak=max(seen[0], usage.ru_maxrss * BYTES_OF_A_MAXRSS),
            exit_code=child.returncode,
            output=output.read().decode(errors="replace"),
        )


def _watch(pid: int, ended: threading.Event, seen: list[int]) -> None:
    """Keep in ``seen`` the most memory that a process and its descendants held at one time."""
    while not ended.wait(1 / LOOKS_A_SECOND):
        try:
            root = psutil.Process(pid)
            held = sum(process.memory_info().rss for process in (root, *root.children(recursive=True)))
        except psutil.Error:
            continue
        seen[0] = max(seen[0], held)
