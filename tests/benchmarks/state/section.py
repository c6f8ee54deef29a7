"""What the service costs: events a second, every page at 10,000 runs and 1,000,000 events, hand-over, memory, start.

The service is a process of its own over a PostgreSQL as Debian sets it up, both on this machine.  Ratios are against
the promise itself: 1 is what was promised.
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
from orchestrator.state.protocol.records import Run, RunEnd, StepEvent
from orchestrator.state.protocol.requests import Batch, Begin, Ending, Sign
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.access import Grant, create_token
from orchestrator.state.server.store import Store
from tests.benchmarks.table import Row
from tests.benchmarks.tools import Failed
from tests.state import postgres
from tests.state.crowd import Crowd, fill
from tests.state.process import Process, running
from tests.state.test_cost import PAGES, address

CROWD, SMALL = Crowd(10_000, 100), Crowd(500, 20)
GROWTH = 1.2
"""What a page may cost after twenty times as long a past: the promise is 1, the rest is what measuring varies by."""
EVENTS_A_SECOND, PAGE_SECONDS, BYTES, START_SECONDS = 2000.0, 0.05, 150e6, 1.0
SETTINGS = ("shared_buffers=128MB",)
"""Debian's own; nothing of durability is switched off."""
COLD = 3
"""Times that each page is asked for before it counts."""
ASKED = COLD + 1
WRITERS, BATCH = 4, 50
JSON = {"content-type": "application/json"}


@dataclass
class Samples:
    """Seconds of many of one kind."""

    found: list[float] = field(default_factory=list)

    def part(self, share: float) -> float:
        """The value below which ``share`` of them lie."""
        return sorted(self.found)[max(0, ceil(len(self.found) * share) - 1)]


@dataclass
class Bench:
    """The service under measure, and a token for it."""

    service: Process
    token: str

    @contextmanager
    def client(self) -> Iterator[httpx.Client]:
        headers = {"Authorization": f"Bearer {self.token}"}
        with httpx.Client(base_url=self.service.address, headers=headers, timeout=30) as client:
            yield client

    def memory(self) -> psutil.Process:
        return psutil.Process(self.service.process.pid)


def rows(quick: bool, tell: Callable[[str], None]) -> list[Row]:
    """All rows; ``quick`` over a short past, with few samples."""
    binaries = postgres.binaries()
    if binaries is None:
        raise Failed("there is no PostgreSQL: apt-get install postgresql")
    crowd, asks, events = (SMALL, 20, 4000) if quick else (CROWD, 200, 40_000)
    with TemporaryDirectory() as folder, ExitStack() as within:
        cluster = within.enter_context(postgres.cluster(binaries, *SETTINGS))
        url = cluster.database()
        starts = [_start(url, Path(folder)) for _ in range(2 if quick else 6)][1:]
        tell(f"state: {crowd.runs:,} runs, {crowd.runs * crowd.each:,} events ...")
        bench = _filled(within, url, crowd, Path(folder))
        tell("state: pages ...")
        paged = _pages(bench, crowd, asks)
        tell("state: the same pages after a short past ...")
        short = _filled(within, cluster.database(), SMALL, Path(folder))
        costs = _costs(((bench, crowd), (short, SMALL)), 2 if quick else 6)
        tell("state: events ...")
        rate = _ingest(bench, events)
        tell("state: leases ...")
        handed = _hand_over(bench, 10 if quick else 60)
        known = bench.memory().memory_info()
        peak = getattr(known, "peak_wset", 0) or _peak(bench)
    size = f"{crowd.runs:,} runs, {crowd.runs * crowd.each:,} events"
    begun, over = Samples([wall for wall, _ in starts]).part(0.5), handed.part(0.5)
    worked = Samples([cpu for _, cpu in starts]).part(0.5)
    return [
        _row("state: start, until ready", _ms(begun), "1 s", begun, START_SECONDS, len(starts)),
        Row("state: start, processor time of it", _ms(worked), "-", None, None, str(len(starts))),
        _row("state: events a second", f"{rate:,.0f}", "2,000", EVENTS_A_SECOND, rate, events),
        *_page_rows(paged, size, asks),
        _growth(costs, crowd),
        Row("state: a lease, from one's end to the next's start", _ms(over), "-", None, None, str(len(handed.found))),
        _row("state: memory at its peak", f"{peak / 1e6:.0f} MB", "150 MB", peak, BYTES, 1),
    ]


def _start(url: str, folder: Path) -> tuple[float, float]:
    """Seconds until it is ready, and of the processor until then: what others do on this machine only adds to one."""
    with running(url, folder) as service:
        return service.seconds, _worked(psutil.Process(service.process.pid))


def _worked(process: psutil.Process) -> float:
    """Seconds of processor that a process has had."""
    times = process.cpu_times()
    return float(times.user + times.system)


def _filled(within: ExitStack, url: str, crowd: Crowd, folder: Path) -> Bench:
    """A service over the past of this crowd."""
    store = Store.open(url)
    fill(store, crowd)
    with store.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as connection:
        for deed in ("VACUUM", "CHECKPOINT"):  # a year's rows came in a minute; their upkeep is not to fall into ours
            connection.exec_driver_sql(deed)
    token = create_token(store, "bench", Grant(("read", "write")), 86_400.0, "bench")
    store.engine.dispose()
    return Bench(within.enter_context(running(url, folder)), token)


def _costs(pasts: Sequence[tuple[Bench, Crowd]], rounds: int) -> list[float]:
    """Seconds of processor of one page, of the service and the database together, after each of these pasts.

    In turn, so that what else the machine does weighs on all; the first round only fills caches.
    """
    ours = psutil.Process()
    spent = [0.0 for _ in pasts]
    for number in range(rounds + 1):
        for place, (bench, crowd) in enumerate(pasts):
            before = sum(_worked(one) for one in ours.children(recursive=True))
            _pages(bench, crowd, 1)
            after = sum(_worked(one) for one in ours.children(recursive=True))
            spent[place] += after - before if number else 0.0
    return [seconds / rounds / ASKED / len(PAGES) for seconds in spent]


def _pages(bench: Bench, crowd: Crowd, asks: int) -> dict[str, Samples]:
    """Each page in turn, again and again, so that none has the caches for itself."""
    found = {name: Samples() for name in PAGES}
    with bench.client() as client:
        for number in range(asks + COLD):
            for name, samples in found.items():
                began = time.perf_counter()
                answer = client.get(address(name, crowd), headers={"accept-encoding": "gzip"})
                seconds = time.perf_counter() - began
                if answer.status_code != 200:
                    raise Failed(f"{address(name, crowd)} answers {answer.status_code}")
                if number >= COLD:
                    samples.found.append(seconds)
                time.sleep(0.003)  # below the limit of requests one client may make a second
    return found


def _ingest(bench: Bench, events: int) -> float:
    """Events a second, from four writers in four environments, fifty at a time."""

    def write(place: int) -> None:
        with bench.client() as client:
            run = _run(f"in-{place}", f"bench/e{place}")
            fence = _post(client, "/runs", Begin(run))["fence"]
            for first in range(1, events // WRITERS, BATCH):
                numbers = range(first, first + BATCH)
                told = tuple(StepEvent(number, run.started_at, "step", "a.b", what="PUT") for number in numbers)
                _post(client, f"/runs/{run.id}/events", Batch(told, fence))

    began = time.perf_counter()
    with ThreadPoolExecutor(WRITERS) as pool:
        list(pool.map(write, range(WRITERS)))
    return events / (time.perf_counter() - began)


def _hand_over(bench: Bench, rounds: int) -> Samples:
    """From the request that ends a run to the answer that gives its lease to the one who waits."""
    found = Samples()
    with bench.client() as holder, bench.client() as waiter:
        for number in range(rounds):
            first, second = (_run(f"h{number}-{one}", "bench/line") for one in (0, 1))
            fence = _post(holder, "/runs", Begin(first))["fence"]
            _post(waiter, "/runs", Begin(second, waits=True))
            began = time.perf_counter()
            _end(holder, first, fence)
            while (turn := _post(waiter, f"/runs/{second.id}/lease", Sign())["fence"]) is None:
                time.sleep(0.005)
            found.found.append(time.perf_counter() - began)
            _end(waiter, second, turn)
    return found


def _run(name: str, environment: str) -> Run:
    return Run(name, environment, "apply", "bench", "c", stamp(time.time()))


def _end(client: httpx.Client, run: Run, fence: int) -> None:
    _post(client, f"/runs/{run.id}/end", Ending(RunEnd("succeeded", stamp(time.time())), fence))


def _post(client: httpx.Client, path: str, record: object) -> Any:
    answer = client.post(f"/api/v1{path}", content=canonical_json.dump(record), headers=JSON)
    if not answer.is_success:
        raise Failed(f"{path} answers {answer.status_code}: {answer.text}")
    return answer.json()


def _peak(bench: Bench) -> float:
    """The most memory that the service ever had, where the system tells."""
    status = Path(f"/proc/{bench.service.process.pid}/status")
    if not status.exists():
        return float(bench.memory().memory_info().rss)
    line = next(line for line in status.read_text().splitlines() if line.startswith("VmHWM"))
    return float(line.split()[1]) * 1024


def _growth(costs: list[float], crowd: Crowd) -> Row:
    what = f"state: processor time of a page, service and database, at {crowd.runs:,} runs"
    return Row(what, _ms(costs[0]), f"{_ms(costs[1])} at {SMALL.runs:,}", costs[0] / costs[1], GROWTH, str(len(PAGES)))


def _page_rows(paged: dict[str, Samples], size: str, asks: int) -> list[Row]:
    slowest = max(paged, key=lambda name: paged[name].part(0.99))
    first, worst, usual = paged["environments"].part(0.99), paged[slowest].part(0.99), paged[slowest].part(0.5)
    every = f"state: p99 of the slowest of {len(paged)} pages and listings ({slowest})"
    return [
        _row(f"state: p99 of the environments page at {size}", _ms(first), "50 ms", first, PAGE_SECONDS, asks),
        _row(every, _ms(worst), "50 ms", worst, PAGE_SECONDS, asks),
        Row("state: median of that one", _ms(usual), "-", None, None, str(asks)),
    ]


def _row(what: str, ours: str, promise: str, value: float, bound: float, runs: int) -> Row:
    return Row(what, ours, f"promised: {promise}", value / bound, 1, str(runs))


def _ms(seconds: float) -> str:
    return f"{seconds * 1000:.1f} ms"
