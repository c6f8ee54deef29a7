"""Several services on one PostgreSQL: leases are handed over in order, and the history is one chain."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack

import pytest

from orchestrator.state.client.api_client import RefusedError, StateClient
from orchestrator.state.protocol.records import Run, RunResult, StepEvent
from orchestrator.state.protocol.requests import (
    AppendEventsResponse,
    BeginRunRequest,
    EndRunRequest,
    EventBatch,
    RenewLeaseRequest,
    RunLeaseStatus,
)
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.access import TokenGrant, create_token
from orchestrator.state.server.store import Store, history_chain
from orchestrator.state.server.store.database import read_connection
from tests.state import postgres
from tests.state.server_process import run_server

WRITERS = 6


@pytest.fixture(scope="module")
def replicas(
    cluster: postgres.Cluster, tmp_path_factory: pytest.TempPathFactory
) -> Iterator[tuple[str, list[StateClient]]]:
    """A database, and a client of each of two services on it, which start at the same time on an empty one."""
    url = cluster.create_database()
    folder = tmp_path_factory.mktemp("replicas")
    with ExitStack() as stack:
        with ThreadPoolExecutor(2) as pool:
            starting = [run_server(url, folder, port=postgres.free_port()) for _ in range(2)]
            addresses = [made.address for made in pool.map(stack.enter_context, starting)]
        store = Store.open(url)
        token = create_token(store, "ci", TokenGrant(("read", "write")), 3600.0, "tests")
        store.engine.dispose()
        clients = [StateClient(address, token) for address in addresses]
        for client in clients:
            stack.callback(client._http.close)
        yield url, clients


def deploy(number: int, verb: str = "apply") -> Run:
    return Run(f"r{number}", "shop/prod", verb, "ci", f"c{number}", format_timestamp(time.time()))  # type: ignore[arg-type]


def work(client: StateClient, run: Run, holding: list[str], order: list[str]) -> None:
    """One run from its beginning to its end; ``holding`` shows who writes at the same time."""
    standing = client.request_record(RunLeaseStatus, "POST", "/runs", BeginRunRequest(run, waits=True))
    while standing.fence is None:
        time.sleep(0.02)
        standing = client.request_record(RunLeaseStatus, "POST", f"/runs/{run.id}/lease", RenewLeaseRequest())
    holding.append(run.id)
    order.append(run.id)
    assert holding == [run.id]
    for number in (1, 2, 3):
        event = StepEvent(number, format_timestamp(time.time()), "progress", "s3_bucket.files", what=run.id)
        client.request_record(
            AppendEventsResponse, "POST", f"/runs/{run.id}/events", EventBatch((event,), standing.fence)
        )
    assert holding == [run.id]
    holding.remove(run.id)
    client.request_record(
        Run,
        "POST",
        f"/runs/{run.id}/end",
        EndRunRequest(RunResult("succeeded", format_timestamp(time.time())), standing.fence),
    )


@pytest.mark.xdist_group("replicas")
def test_leases_go_from_one_to_the_next_in_order(replicas: tuple[str, list[StateClient]]) -> None:
    """Six runs ask two services in turn; each writes alone, and they come in the order in which they asked."""
    url, clients = replicas
    holding: list[str] = []
    order: list[str] = []
    first = deploy(0)
    held = clients[0].request_record(RunLeaseStatus, "POST", "/runs", BeginRunRequest(first))
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
        while len(store.get_lease("shop/prod").waiting) < number:
            time.sleep(0.01)
    clients[1].request_record(
        Run, "POST", "/runs/r0/end", EndRunRequest(RunResult("succeeded", format_timestamp(time.time())), held.fence)
    )
    for thread in threads:
        thread.join(60)

    assert failures == []
    assert order == [f"r{number}" for number in range(1, WRITERS + 1)]
    assert [store.get_run(f"r{number}").status for number in range(WRITERS + 1)] == ["succeeded"] * (WRITERS + 1)  # type: ignore[union-attr]
    with read_connection(store.engine) as connection:
        assert (
            history_chain.verify_entries(history_chain.iter_entries(connection))[0]
            == store.list_history().items[0].number
        )
    store.engine.dispose()


@pytest.mark.xdist_group("replicas")
def test_writers_of_many_environments_make_one_chain(replicas: tuple[str, list[StateClient]]) -> None:
    """Nobody waits for another environment's lease, and no two entries of the history have one place."""
    url, clients = replicas

    def one(number: int) -> str:
        client, run = clients[number % 2], deploy(100 + number)
        run = Run(run.id, f"shop/e{number}", "apply", "ci", "c", run.started_at)
        fence = client.request_record(RunLeaseStatus, "POST", "/runs", BeginRunRequest(run)).fence
        events = tuple(StepEvent(at, run.started_at, "step", "a.b") for at in range(1, 11))
        client.request_record(AppendEventsResponse, "POST", f"/runs/{run.id}/events", EventBatch(events, fence))
        ending = EndRunRequest(RunResult("succeeded", format_timestamp(time.time())), fence)
        return client.request_record(Run, "POST", f"/runs/{run.id}/end", ending).status

    with ThreadPoolExecutor(8) as pool:
        assert set(pool.map(one, range(24))) == {"succeeded"}
    store = Store.open(url)
    with read_connection(store.engine) as connection:
        entries = list(history_chain.iter_entries(connection))
    assert history_chain.verify_entries(entries)[0] == len(entries)
    assert sum(one.deed == "run.end" and one.environment.startswith("shop/e") for one in entries) == 24
    store.engine.dispose()


@pytest.mark.xdist_group("replicas")
def test_a_zombie_is_refused_by_the_other_service_too(replicas: tuple[str, list[StateClient]]) -> None:
    """Whoever was overtaken through one service is told so by the other."""
    url, clients = replicas
    run = Run("zombie", "shop/zombie", "apply", "ci", "c", format_timestamp(time.time()))
    fence = clients[0].request_record(RunLeaseStatus, "POST", "/runs", BeginRunRequest(run)).fence
    store = Store.open(url)
    store.revoke_lease("shop/zombie", "ana")
    store.engine.dispose()
    with pytest.raises(RefusedError) as refused:
        clients[1].request_record(RunLeaseStatus, "POST", "/runs/zombie/lease", RenewLeaseRequest(fence))

    assert refused.value.problem_type == "lost-lease"
