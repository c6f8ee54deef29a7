"""Measure the state service: events per second, pages at 1,000,000 events, lease handover, memory, start-up.

The service runs in its own process on PostgreSQL with Debian's configuration, both on this machine.  Ratios are
relative to the targets.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from math import ceil
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import httpx
import psutil

from orchestrator import canonical_json
from orchestrator.state.protocol.records import Run, RunResult, StepEvent
from orchestrator.state.protocol.requests import BeginRunRequest, EndRunRequest, EventBatch, RenewLeaseRequest
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.access import TokenGrant, create_token
from orchestrator.state.server.store import Store
from tests.benchmarks.compared_tools import ToolError
from tests.benchmarks.table import Row
from tests.state import postgres
from tests.state.large_history import LargeHistory, fill_store
from tests.state.server_process import ServerProcess, run_server
from tests.state.test_cost import PAGES, address

FULL_HISTORY, SMALL_HISTORY = LargeHistory(10_000, 100), LargeHistory(500, 20)
MAX_COST_RATIO = 1.2
"""Maximum cost ratio of a page with twenty times the history; the target is 1, plus measurement noise."""
MIN_EVENTS_PER_SECOND, MAX_PAGE_SECONDS, MAX_MEMORY_BYTES, MAX_START_SECONDS = 2000.0, 0.05, 150e6, 1.0
SETTINGS = ("shared_buffers=128MB",)
"""Debian's default; durability is not reduced."""
WARM_UP_REQUESTS = 3
"""Unmeasured requests per page."""
REQUESTS_PER_PAGE = WARM_UP_REQUESTS + 1
WRITER_COUNT, BATCH_SIZE = 4, 50
JSON_HEADERS = {"content-type": "application/json"}


@dataclass
class Samples:
    """Durations in seconds."""

    values: list[float] = field(default_factory=list)

    def percentile(self, share: float) -> float:
        """Return the ``share`` quantile."""
        return sorted(self.values)[max(0, ceil(len(self.values) * share) - 1)]


@dataclass
class MeasuredService:
    """The measured service and a token for it."""

    service: ServerProcess
    token: str

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=self.service.address, headers=headers, timeout=30) as client:
            yield client

    def process_info(self) -> psutil.Process:
        return psutil.Process(self.service.process.pid)


def rows(quick: bool, on_progress: Callable[[str], None]) -> list[Row]:
    """Measure all rows; ``quick`` uses a short history and few samples."""
    binaries = postgres.find_binaries()
    if binaries is None:
        raise ToolError("PostgreSQL is not installed: apt-get install postgresql")
    history, request_count, events = (SMALL_HISTORY, 20, 4000) if quick else (FULL_HISTORY, 200, 40_000)
    with TemporaryDirectory() as folder, ExitStack() as exit_stack:
        cluster = exit_stack.enter_context(postgres.run_cluster(binaries, *SETTINGS))
        url = cluster.create_database()
        starts = [_measure_start(url, Path(folder)) for _ in range(2 if quick else 6)][1:]
        on_progress(f"state: {history.run_count:,} runs, {history.run_count * history.events_per_run:,} events ...")
        bench = _run_filled_service(exit_stack, url, history, Path(folder))
        on_progress("state: pages ...")
        page_samples = _measure_pages(bench, history, request_count)
        on_progress("state: pages with a short history ...")
        small_bench = _run_filled_service(exit_stack, cluster.create_database(), SMALL_HISTORY, Path(folder))
        costs = _measure_costs(((bench, history), (small_bench, SMALL_HISTORY)), 2 if quick else 6)
        on_progress("state: events ...")
        rate = _measure_ingest(bench, events)
        on_progress("state: leases ...")
        handovers = _measure_handover(bench, 10 if quick else 60)
        memory_info = bench.process_info().memory_info()
        peak = getattr(memory_info, "peak_wset", 0) or _peak_memory_bytes(bench)
    size = f"{history.run_count:,} runs, {history.run_count * history.events_per_run:,} events"
    start_seconds, handover_seconds = Samples([wall for wall, _ in starts]).percentile(0.5), handovers.percentile(0.5)
    start_cpu_seconds = Samples([cpu for _, cpu in starts]).percentile(0.5)
    return [
        _bounded_row(
            "state service: start until ready",
            _format_ms(start_seconds),
            "1 s",
            start_seconds,
            MAX_START_SECONDS,
            len(starts),
        ),
        Row("state service: CPU time of the start", _format_ms(start_cpu_seconds), "-", None, None, str(len(starts))),
        _bounded_row("state service: events per second", f"{rate:,.0f}", "2,000", MIN_EVENTS_PER_SECOND, rate, events),
        *_page_rows(page_samples, size, request_count),
        _growth_row(costs, history),
        Row(
            "state service: lease handover, from the end of a run to the start of the next",
            _format_ms(handover_seconds),
            "-",
            None,
            None,
            str(len(handovers.values)),
        ),
        _bounded_row("state service: peak memory", f"{peak / 1e6:.0f} MB", "150 MB", peak, MAX_MEMORY_BYTES, 1),
    ]


def _measure_start(url: str, folder: Path) -> tuple[float, float]:
    """Return wall and CPU seconds until the service is ready; other load affects only wall time."""
    with run_server(url, folder) as service:
        return service.startup_seconds, _cpu_seconds(psutil.Process(service.process.pid))


def _cpu_seconds(process: psutil.Process) -> float:
    """Return the CPU seconds of a process."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _run_filled_service(exit_stack: ExitStack, url: str, history: LargeHistory, folder: Path) -> MeasuredService:
    """Run a service with a recorded history."""
    store = Store.open(url)
    fill_store(store, history)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for statement in (
            "VACUUM",
            "CHECKPOINT",
        ):  # so that maintenance of the bulk-loaded rows does not run during the measurement
            connection.exec_driver_sql(statement)
    token = create_token(store, "bench", TokenGrant(("read", "write")), 86_400.0, "bench")
    store.engine.dispose()
    return MeasuredService(exit_stack.enter_context(run_server(url, folder)), token)


def _measure_costs(services: Sequence[tuple[MeasuredService, LargeHistory]], rounds: int) -> list[float]:
    """Return the CPU seconds per page of service and database together, for each history.

    Services are measured in turn, so that other load affects all; the first round only warms up caches.
    """
    own_process = psutil.Process()
    cpu_seconds = [0.0 for _ in services]
    for number in range(rounds + 1):
        for position, (bench, history) in enumerate(services):
            before = sum(_cpu_seconds(child) for child in own_process.children(recursive=True))
            _measure_pages(bench, history, 1)
            after = sum(_cpu_seconds(child) for child in own_process.children(recursive=True))
            cpu_seconds[position] += after - before if number else 0.0
    return [seconds / rounds / REQUESTS_PER_PAGE / len(PAGES) for seconds in cpu_seconds]


def _measure_pages(bench: MeasuredService, history: LargeHistory, request_count: int) -> dict[str, Samples]:
    """Request all pages in turn, repeatedly, so that no page has the caches to itself."""
    samples_by_page = {name: Samples() for name in PAGES}
    with bench.client() as client:
        for number in range(request_count + WARM_UP_REQUESTS):
            for name, samples in samples_by_page.items():
                started_at = time.perf_counter()
                response = client.get(address(name, history), headers={"accept-encoding": "gzip"})
                seconds = time.perf_counter() - started_at
                if response.status_code != 200:
                    raise ToolError(f"{address(name, history)} returned HTTP {response.status_code}")
                if number >= WARM_UP_REQUESTS:
                    samples.values.append(seconds)
                time.sleep(0.003)  # stay below the rate limit per client
    return samples_by_page


def _measure_ingest(bench: MeasuredService, events: int) -> float:
    """Return events per second from four writers in four environments, fifty events per request."""

    def write(writer: int) -> None:
        with bench.client() as client:
            run = _make_run(f"in-{writer}", f"bench/e{writer}")
            fence = _post(client, "/runs", BeginRunRequest(run))["fence"]
            for first in range(1, events // WRITER_COUNT, BATCH_SIZE):
                numbers = range(first, first + BATCH_SIZE)
                step_events = tuple(StepEvent(number, run.started_at, "step", "a.b", what="PUT") for number in numbers)
                _post(client, f"/runs/{run.id}/events", EventBatch(step_events, fence))

    started_at = time.perf_counter()
    with ThreadPoolExecutor(WRITER_COUNT) as pool:
        list(pool.map(write, range(WRITER_COUNT)))
    return events / (time.perf_counter() - started_at)


def _measure_handover(bench: MeasuredService, rounds: int) -> Samples:
    """Measure from the request that ends a run to the response that gives the lease to the waiting run."""
    handovers = Samples()
    with bench.client() as holder, bench.client() as waiter:
        for number in range(rounds):
            first, second = (_make_run(f"h{number}-{suffix}", "bench/line") for suffix in (0, 1))
            fence = _post(holder, "/runs", BeginRunRequest(first))["fence"]
            _post(waiter, "/runs", BeginRunRequest(second, waits=True))
            started_at = time.perf_counter()
            _end_run(holder, first, fence)
            while (next_fence := _post(waiter, f"/runs/{second.id}/lease", RenewLeaseRequest())["fence"]) is None:
                time.sleep(0.005)
            handovers.values.append(time.perf_counter() - started_at)
            _end_run(waiter, second, next_fence)
    return handovers


def _make_run(name: str, environment: str) -> Run:
    return Run(name, environment, "apply", "bench", "c", format_timestamp(time.time()))


def _end_run(client: httpx.Client, run: Run, fence: int) -> None:
    _post(client, f"/runs/{run.id}/end", EndRunRequest(RunResult("succeeded", format_timestamp(time.time())), fence))


def _post(client: httpx.Client, path: str, record: object) -> Any:
    response = client.post(f"/api/v1{path}", content=canonical_json.dump(record), headers=JSON_HEADERS)
    if not response.is_success:
        raise ToolError(f"{path} returned HTTP {response.status_code}: {response.text}")
    return response.json()


def _peak_memory_bytes(bench: MeasuredService) -> float:
    """Return the service's peak memory, or its current memory if the system does not report the peak."""
    status = Path(f"/proc/{bench.service.process.pid}/status")
    if not status.exists():
        return float(bench.process_info().memory_info().rss)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


def _growth_row(costs: list[float], history: LargeHistory) -> Row:
    title = f"state service: CPU time per page, service and database, at {history.run_count:,} runs"
    return Row(
        title,
        _format_ms(costs[0]),
        f"{_format_ms(costs[1])} at {SMALL_HISTORY.run_count:,}",
        costs[0] / costs[1],
        MAX_COST_RATIO,
        str(len(PAGES)),
    )


def _page_rows(page_samples: dict[str, Samples], size: str, request_count: int) -> list[Row]:
    slowest = max(page_samples, key=lambda name: page_samples[name].percentile(0.99))
    environments_seconds, worst_seconds, median_seconds = (
        page_samples["environments"].percentile(0.99),
        page_samples[slowest].percentile(0.99),
        page_samples[slowest].percentile(0.5),
    )
    title = f"state service: p99 of the slowest of {len(page_samples)} pages and listings ({slowest})"
    return [
        _bounded_row(
            f"state service: p99 of the environments page at {size}",
            _format_ms(environments_seconds),
            "50 ms",
            environments_seconds,
            MAX_PAGE_SECONDS,
            request_count,
        ),
        _bounded_row(title, _format_ms(worst_seconds), "50 ms", worst_seconds, MAX_PAGE_SECONDS, request_count),
        Row("state service: median of that page", _format_ms(median_seconds), "-", None, None, str(request_count)),
    ]


def _bounded_row(title: str, ours: str, bound_text: str, value: float, bound: float, runs: int) -> Row:
    return Row(title, ours, f"target: {bound_text}", value / bound, 1, str(runs))


def _format_ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
