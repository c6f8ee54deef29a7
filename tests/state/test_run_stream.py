"""A run as it happens: server-sent events that go on where they were, end with the run, and hold no connection."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack

import httpx
import psutil
import pytest

from orchestrator.state.protocol.records import PlanRecord, Run, RunResult, StepEvent
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store
from tests.state.api_service import ApiService, run_api_service
from tests.state.pages.sample_history import first_plan

AT = format_timestamp(time.time() - 50)
VIEWERS = 24
"""More than the database has connections for."""


@pytest.fixture
def house(store: Store) -> Iterator[ApiService]:
    with run_api_service(store) as made:
        yield made


def begin(store: Store, events: int) -> int:
    """A run that goes on, with this many events."""
    fence = store.begin_run(Run("r1", "shop/prod", "apply", "ana", "c", AT), "ana").fence or 0
    tell(store, fence, *range(1, events + 1))
    return fence


def tell(store: Store, fence: int, *numbers: int) -> None:
    store.append_events("r1", fence, tuple(StepEvent(n, AT, "step", "s3_bucket.b", what=f"step {n}") for n in numbers))


def messages(answer: httpx.Response) -> Iterator[tuple[str, int, str]]:
    """The kind, the number and the data of each message."""
    known: dict[str, list[str]] = {}
    for line in answer.iter_lines():
        if line:
            name, _, rest = line.partition(": ")
            known.setdefault(name, []).append(rest)
        elif "event" in known:
            yield known["event"][0], int(known["id"][0]), "\n".join(known["data"])
            known = {}
        else:
            known = {}


def test_it_tells_what_happens_and_ends_with_the_run(house: ApiService, store: Store) -> None:
    """Each event once and in order, as it comes, and then that it is over."""
    fence = begin(store, 2)
    found: list[tuple[str, int, str]] = []
    with house.open_client().stream("GET", "/runs/r1/live") as answer:
        assert answer.headers["content-type"].startswith("text/event-stream")
        assert answer.headers["cache-control"] == "no-store"
        for message in messages(answer):
            found.append(message)
            if message[:2] == ("board", 2):
                tell(store, fence, 3, 4)
            if message[:2] == ("board", 4):
                store.end_run("r1", fence, RunResult("succeeded", AT), "ana")
    lines = [(number, data) for kind, number, data in found if kind == "line"]

    assert [number for number, _ in lines] == [1, 2, 3, 4]
    assert all(f"step {number}" in data for number, data in lines)
    assert found[-1] == ("over", 4, "succeeded")


def test_it_goes_on_where_it_was(house: ApiService, store: Store) -> None:
    """A browser that comes back says what it has seen; nothing is told twice and nothing is left out."""
    fence = begin(store, 6)
    store.end_run("r1", fence, RunResult("succeeded", AT), "ana")

    def lines(after: str, query: str = "") -> list[int]:
        with house.open_client().stream("GET", f"/runs/r1/live{query}", headers={"last-event-id": after}) as answer:
            return [number for kind, number, _ in messages(answer) if kind == "line"]

    assert lines("4") == [5, 6]
    assert lines("6") == []
    assert lines("", "?after=5") == [6]
    assert lines("2", "?after=5") == [6]
    assert lines("no number") == [1, 2, 3, 4, 5, 6]


def test_viewers_hold_no_connection(house: ApiService, store: Store) -> None:
    """Many watch one run, and the database is free for those who write; all see its end."""
    fence = begin(store, 1)
    ends: list[str] = []
    watching = threading.Semaphore(0)

    def watch() -> None:
        with house.open_client().stream("GET", "/runs/r1/live") as answer:
            for kind, _, data in messages(answer):
                if kind == "board":
                    watching.release()
                if kind == "over":
                    ends.append(data)

    threads = [threading.Thread(target=watch) for _ in range(VIEWERS)]
    for thread in threads:
        thread.start()
    for _ in range(VIEWERS):
        assert watching.acquire(timeout=30)
    pool = store.engine.pool
    with ExitStack() as stack:
        taken = [stack.enter_context(store.engine.connect()) for _ in range(8)]  # two are left for everybody else
        assert len(taken) == 8
        tell(store, fence, 2)
    store.end_run("r1", fence, RunResult("failed", AT, "it broke"), "ana")
    for thread in threads:
        thread.join(30)

    assert ends == ["failed"] * VIEWERS
    assert pool.checkedout() == 0  # type: ignore[attr-defined]


def test_a_run_that_is_not_there_is_no_stream(house: ApiService) -> None:
    assert house.open_client().get("/runs/none/live").status_code == 404


def test_a_plan_that_is_made_meanwhile_appears(house: ApiService, store: Store) -> None:
    """Without loading the page again; and the resources that wait are counted from then on."""
    fence = begin(store, 1)
    contents = first_plan("shop/prod")
    plan = PlanRecord(contents.digest, "shop/prod", AT, "ana", "c", contents)
    with house.open_client().stream("GET", "/runs/r1/live") as answer:
        kinds = []
        for kind, number, data in messages(answer):
            kinds.append(kind)
            if (kind, number) == ("board", 1) and kinds.count("board") == 1:
                assert "plan" not in kinds
                store.record_plan(plan, "ana")
                store.set_run_plan("r1", fence, plan.digest, "ana")
            if kind == "plan":
                assert f"/plans/{plan.digest}" in data
                store.end_run("r1", fence, RunResult("succeeded", AT), "ana")
    assert kinds[-1] == "over"


@pytest.mark.slow
def test_many_who_watch_a_long_run_cost_what_one_does(store: Store) -> None:
    """20 viewers of 100,000 events took 325 MB more, for each kept the whole story; now one reader keeps it."""
    fence = begin(store, 0)
    for first in range(1, 50_001, 500):
        tell(store, fence, *range(first, first + 500))
    process = psutil.Process()

    def grow(viewers: int, house: ApiService) -> int:
        """Bytes that this many viewers take, at the moment when all have the board."""
        before, ready, over = process.memory_info().rss, threading.Semaphore(0), threading.Event()

        def watch() -> None:
            with house.open_client().stream("GET", "/runs/r1/live?after=50000") as answer:
                for kind, _, _ in messages(answer):
                    if kind == "board":
                        ready.release()
                        over.wait(60)
                        return

        threads = [threading.Thread(target=watch) for _ in range(viewers)]
        for thread in threads:
            thread.start()
        for _ in threads:
            assert ready.acquire(timeout=60)
        taken = process.memory_info().rss - before
        over.set()
        for thread in threads:
            thread.join(60)
        return taken

    with run_api_service(store) as service:
        grow(1, service)
        assert grow(60, service) < 60e6
