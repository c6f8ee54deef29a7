"""docs/benchmarks.md: the table, where and how it was measured."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.compared_tools import MIRROR_VARIABLE


def render_page(report: str) -> str:
    """The whole page around ``report``, the parts that were measured."""
    return f"""# What it costs

Measured with `make bench`; `make bench ARGS="--only plan"` measures a part again and leaves the others, and with
`--quick` it keeps nothing. Terraform is found on `PATH`, its provider through `{MIRROR_VARIABLE}`, which names a
folder laid out as a filesystem mirror.

{report}
How it is measured:

* Whole processes, from start to exit: wall time, user and system time by `os.wait4`, and the peak memory of a program
  with its helpers, looked at four times a second: Terraform's core and its provider are two processes.
* The peer is `terraform` 1.11 with its AWS provider 5.100 and `tests/benchmarks/peer/`: the same AWS things with the
  same settings. It needs more resources for them, as a bucket's aspects are resources of their own there.
* Each tool applies into its own embedded emulator (moto behind the gateway, in a process of its own), which counts the
  calls. Runs alternate, A B A B. Where both have as many runs, the ratio is the median of the ratios of pairs, else
  the ratio of the medians. A plan whose exit code says that something is to do fails the benchmark.
* The longest chain is the most calls that the read of one resource makes, one after the other, with nothing
  remembered: a plan reads resources side by side, so only these have to wait for each other. "Most calls that do not
  overlap" is what the emulator saw: the difference is waiting for a thread, a connection, a client or the emulator.
* Sites are shipped to `rclone serve s3`, in memory: a fast server, the same for all, which leaves the time to the
  tools. `orchestrator` there is what a deploy does for its site (scan, look, ship), as a process of its own; what is
  asked of S3 is counted by the emulator. s5cmd, rclone and the AWS CLI are found on `PATH`. "Fresh build" writes every
  file anew with the same bytes: tools that compare times upload all of it. "In a deploy that runs" is the time from
  knowing the site's hashes to knowing what is to be done, by a client that a deploy has anyway. "As a process of its
  own" starts Python and makes that client for it, which nobody does but this page; what that takes is the row below.
* From push to healthy is `deploy.yml` itself, run by `act` on this machine against the emulator, as the tests run it:
  a small site behind a CDN, shipped, and asked for before it counts as healthy. The time of each step is `act`'s.
  Its set-up finds Python and the packages where a cache has put them; what restoring that cache takes is GitHub's.
* A training learns from things cut out of real photographs, laid on textures (`tests/ml/composed_photos.py`), with the
  weights that the tests use: the whole command, from start to report and export, with nothing computed before. The peer
  is the recipe of Keras's guide (`tests/benchmarks/training/recipe.py`), all its epochs, with the same photos on the
  same sides. "Accuracy lost" is a difference. Photos are fetched from a folder: what a network adds is the network's.
* The state service is a process of its own over PostgreSQL as Debian sets it up, nothing of durability switched off,
  with a year's past written into it: its chain and the hashes of its events hold. Each page and listing is asked for
  in turn, with a token, one at a time; four writers send fifty events a request; the ratio is against the promise.
  Processor time is that of the service and of PostgreSQL together, after a long and a short past in turn.
* "Many" is the stack sixteen times (the container service nine times: App Runner's quota), project and budget once.
"""


def describe_measurement() -> str:
    """When and where something is measured now."""
    return f"Measured on {datetime.now(UTC):%Y-%m-%d} on {describe_machine()}{describe_scheduling()}."


def describe_scheduling() -> str:
    """Whether it went before all else that this machine had to do: `chrt -r 10 make bench` does where others work."""
    if not hasattr(os, "sched_getscheduler") or os.sched_getscheduler(0) not in {os.SCHED_RR, os.SCHED_FIFO}:
        return ""
    return ", ahead of other work there (real-time scheduling)"


def describe_machine() -> str:
    """This machine in words: processors, memory, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.+)", model.read_text()) if model.exists() else None
    cpu_text = f" ({match.group(1)})" if match else ""
    python = platform.python_version()
    return f"{cores} processor cores{cpu_text}, {memory:.0f} GiB of memory, {platform.system()}, Python {python}"
