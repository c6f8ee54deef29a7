"""Several services on one PostgreSQL: leases are handed over in order, and the history is one chain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from orchestrator.state.client.api_client import Client, RefusedError
from orchestrator.state.protocol.records import Run, RunEnd, StepEvent
from orchestrator.state.protocol.requests import Batch, Begin, Ending, Kept, Sign, Standing
from orchestrator.state.protocol.timestamps import stamp
from orchestrator.state.server.access import Grant, create_token
from orchestrator.state.server.store import Store, history_chain
from orchestrator.state.server.store.database import reading
from tests.state import postgres
from tests.state.process import running

WRITERS = 6


@pytest.fixture(scope="module")
def replicas(cluster: postgres.Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[tuple[str, list[Client]]]:
    """A database, and a client of each of two services on it, which start at the same time on an empty one."""
    url = cluster.database()
    folder = tmp_path_factory.mktemp("replicas")
    with ExitStack() as stack:
        with ThreadPoolExecutor(2) as pool:
            starting = [running(url, folder, port=postgres.free_port()) for _ in range(2)]
            addresses = [made.address for made in pool.map(stack.enter_context, starting)]
        store = Store.open(url)
        token = create_token(store, "ci", Grant(("read", "write")), 3600.0, "tests")
        store.engine.dispose()
        clients = [Client(address, token) for address in addresses]
        for client in clients:
            stack.callback(client._http.close)
        yield url, clients


def deploy(number: int, verb: str = "apply") -> Run:
    return Run(f"r{number}", "shop/prod", verb, "ci", f"c{number}", stamp(time.time()))  # type: ignore[arg-type]


def work(client: Client, run: Run, holding: list[str], order: list[str]) -> None:
    """One run from its beginning to its end; ``holding`` shows who writes at the same time."""
    standing = client.get(Standing, "POST", "/runs", Begin(run, waits=True))
    while standing.fence is None:
        time.sleep(0.02)
        standing = client.get(Standing, "POST", f"/runs/{run.id}/lease", Sign())
    holding.append(run.id)
    order.append(run.id)
    assert holding == [run.id]
    for number in (1, 2, 3):
        event = StepEvent(number, stamp(time.time()), "progress", "s3_bucket.files", what=run.id)
        client.get(Kept, "POST", f"/runs/{run.id}/events", Batch((event,), standing.fence))
    assert holding == [run.id]
    holding.remove(run.id)
    client.get(Run, "POST", f"/runs/{run.id}/end", Ending(RunEnd("succeeded", stamp(time.time())), standing.fence))


@pytest.mark.xdist_group("replicas")
def test_leases_go_from_one_to_the_next_in_order(replicas: tuple[str, list[Client]]) -> None:
    """Six runs ask two services in turn; each writes alone, and they come in the order in which they asked."""
    url, clients = replicas
    holding: list[str] = []
    order: list[str] = []
    first = deploy(0)
    held = clients[0].get(Standing, "POST", "/runs", Begin(first))
    failures: list[BaseException] = []

    def one(number: int) -> None:
        try:
            work(clients[number % 2], deploy(number), holding, order)
        except BaseException as error:
            failures.append(error)
            raise

    threads = []
    store = Store.open(url)
    for number in range(1, WRITERS + 1):
        threads.append(threading.Thread(target=one, args=(number,)))
        threads[-1].start()
        while len(store.lease("shop/prod").waiting) < number:
            time.sleep(0.01)
    clients[1].get(Run, "POST", "/runs/r0/end", Ending(RunEnd("succeeded", stamp(time.time())), held.fence))
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert order == [f"r{number}" for number in range(1, WRITERS + 1)]
    assert [store.run(f"r{number}").status for number in range(WRITERS + 1)] == ["succeeded"] * (WRITERS + 1)  # type: ignore[union-attr]
    with reading(store.engine) as connection:
        assert history_chain.verify(history_chain.entries(connection))[0] == store.history().items[0].number
    store.engine.dispose()


@pytest.mark.xdist_group("replicas")
def test_writers_of_many_environments_make_one_chain(replicas: tuple[str, list[Client]]) -> None:
    """Nobody waits for another environment's lease, and no two entries of the history have one place."""
    url, clients = replicas

    def one(number: int) -> str:
        client, run = clients[number % 2], deploy(100 + number)
        run = Run(run.id, f"shop/e{number}", "apply", "ci", "c", run.started_at)
        fence = client.get(Standing, "POST", "/runs", Begin(run)).fence
        events = tuple(StepEvent(at, run.started_at, "step", "a.b") for at in range(1, 11))
        client.get(Kept, "POST", f"/runs/{run.id}/events", Batch(events, fence))
        ending = Ending(RunEnd("succeeded", stamp(time.time())), fence)
        return client.get(Run, "POST", f"/runs/{run.id}/end", ending).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(24))) == {"succeeded"}
    store = Store.open(url)
    with reading(store.engine) as connection:
        entries = list(history_chain.entries(connection))
    assert history_chain.verify(entries)[0] == len(entries)
    assert sum(one.deed == "run.end" and one.environment.startswith("shop/e") for one in entries) == 24
    store.engine.dispose()


@pytest.mark.xdist_group("replicas")
def test_a_zombie_is_refused_by_the_other_service_too(replicas: tuple[str, list[Client]]) -> None:
    """Whoever was overtaken through one service is told so by the other."""
    url, clients = replicas
    run = Run("zombie", "shop/zombie", "apply", "ci", "c", stamp(time.time()))
    fence = clients[0].get(Standing, "POST", "/runs", Begin(run)).fence
    store = Store.open(url)
    store.free("shop/zombie", "ana")
    store.engine.dispose()
    with pytest.raises(RefusedError) as refused:
        clients[1].get(Standing, "POST", "/runs/zombie/lease", Sign(fence))

    assert refused.value.kind == "lost-lease"
