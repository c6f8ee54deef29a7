"""What a page costs: every query has an index, and a long history costs what a short one does."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import event

from orchestrator.state.server.store import Store
from orchestrator.state.server.store.verification import verify_database
from tests.state.api_service import ApiService, run_api_service
from tests.state.large_history import LargeHistory, fill_store

SHORT, LONG = LargeHistory(400, 10), LargeHistory(1200, 10)
PAGES = {
    "environments": "/",
    "environment": "/e/shop/e1",
    "cost": "/e/shop/e1/cost",
    "review": "/e/shop/e1/review",
    "digest": "/digest",
    "drift": "/e/shop/e1/drift",
    "releases": "/e/shop/e1/releases",
    "comparison": "/e/shop/e1/releases?from=3&to=9",
    "models": "/models",
    "run": "/runs/{newest}",
    "history": "/history",
    "history, one environment": "/history?environment=shop/e3",
    "history, what failed": "/history?status=failed",
    "history, of somebody": "/history?by=marta",
    "history, a verb": "/history?verb=rollback",
    "history, a commit": "/history?commit=nobody",
    "history, nothing found": "/history?status=lost&verb=destroy",
    "history, nothing of one": "/history?environment=shop/e3&status=lost&by=nobody",
    "history, some days": "/history?since=2026-11-01&until=2026-11-03",
    "log": "/history/log",
    "log, one environment": "/history/log?environment=shop/e3",
    "log, nobody": "/history/log?by=nobody",
    "api: runs": "/api/v1/runs",
    "api: history": "/api/v1/history",
    "api: history, a deed": "/api/v1/history?deed=none",
    "api: events": "/api/v1/runs/{newest}/events",
    "api: leases": "/api/v1/leases",
    "api: costs": "/api/v1/environments/shop/e1/costs",
    "api: deliveries": "/api/v1/deliveries?environment=shop/e2",
}
GROWING = re.compile(r"\b(runs|events|history|releases|drifts|costs)\b")
STEPS = 100
"""Instructions of SQLite's machine that are counted at once."""


def address(name: str, crowd: LargeHistory) -> str:
    return PAGES[name].format(newest=crowd.newest_run_id)


@contextmanager
def heard(store: Store) -> Iterator[list[tuple[str, Any]]]:
    """Every query that is made meanwhile."""
    found: list[tuple[str, Any]] = []

    def hear(_: Any, __: Any, statement: str, parameters: Any, ___: Any, ____: Any) -> None:
        if statement.startswith("SELECT"):
            found.append((statement, parameters))

    event.listen(store.engine, "before_cursor_execute", hear)
    yield found
    event.remove(store.engine, "before_cursor_execute", hear)


def plan(store: Store, statement: str, parameters: Any) -> str:
    """How the database would answer, tables being too large to read through."""
    with store.engine.connect() as connection:
        if connection.dialect.name == "sqlite":
            rows = connection.exec_driver_sql(f"EXPLAIN QUERY PLAN {statement}", parameters).all()
            return "\n".join(str(row[3]) for row in rows)
        connection.exec_driver_sql("SET LOCAL enable_seqscan = off")
        return "\n".join(row[0] for row in connection.exec_driver_sql(f"EXPLAIN {statement}", parameters).all())


IN_ORDER = re.compile(r"FROM history\s+(WHERE history\.number < \S+\s+)?ORDER BY history\.number DESC\s+LIMIT")
"""SQLite calls it a scan too when it takes the newest from a table that lies in this order."""


def read_through(text: str) -> list[str]:
    """The lines of a plan that read a growing table, or all of an index, from one end to the other."""
    bare = re.compile(r"^SCAN (?!.*USING)|Seq Scan on|USE TEMP B-TREE FOR (?!GROUP)", re.MULTILINE)
    return [line for line in text.splitlines() if bare.search(line) and (GROWING.search(line) or "TEMP" in line)]


@pytest.fixture
def house(store: Store) -> Iterator[tuple[ApiService, LargeHistory]]:
    fill_store(store, SHORT)
    with run_api_service(store) as made:
        yield made, SHORT


def test_the_long_past_is_as_the_service_would_have_written_it(
    house: tuple[ApiService, LargeHistory], store: Store
) -> None:
    """Its chain and the hashes of its events hold, and every table is what the history says."""
    _, crowd = house
    assert verify_database(store.engine)[0] == sum(1 for _ in crowd.history_rows()) > 4 * crowd.run_count


def test_no_page_reads_a_table_through(house: tuple[ApiService, LargeHistory], store: Store) -> None:
    """The plan of every query of every page, on both databases."""
    made, crowd = house
    client = made.open_client()
    bad: dict[str, str] = {}
    asked = 0
    for name in PAGES:
        with heard(store) as queries:
            answer = client.get(address(name, crowd))
        assert answer.status_code == 200, (name, answer.text)
        for statement, parameters in queries:
            asked += 1
            text = plan(store, statement, parameters)
            if read_through(text) and not IN_ORDER.search(statement):
                bad[f"{name}: {statement} {parameters}"] = text

    assert bad == {}
    assert asked > 2 * len(PAGES)


def test_a_query_without_an_index_would_be_found(house: tuple[ApiService, LargeHistory], store: Store) -> None:
    """The test above can fail."""
    assert read_through(plan(store, "SELECT * FROM runs WHERE body LIKE 'x'", ()))
    assert read_through(plan(store, "SELECT * FROM history WHERE payload = 'x'", ()))


def steps(store: Store, client: Any, path: str) -> int:
    """How much SQLite's machine does for one page: no clock, so the same every time."""
    counted = [0]

    def count() -> int:
        counted[0] += 1
        return 0

    def begin(connection: Any, *_: Any) -> None:
        connection.set_progress_handler(count, STEPS)

    event.listen(store.engine, "checkout", begin)
    assert client.get(path).status_code == 200
    event.remove(store.engine, "checkout", begin)
    return counted[0] * STEPS


@pytest.mark.slow
def test_a_long_history_costs_what_a_short_one_does(tmp_path: Path) -> None:
    """Three times as much of everything; no page does more work."""
    cost: dict[str, list[int]] = {name: [] for name in PAGES}
    for crowd in (SHORT, LONG):
        store = Store.open(f"sqlite:///{tmp_path}/{crowd.run_count}.db")
        store.max_measured_runs = 30
        fill_store(store, crowd)
        with run_api_service(store) as made:
            client = made.open_client()
            for name, found in cost.items():
                client.get(address(name, crowd))
                found.append(steps(store, client, address(name, crowd)))

    assert {name: found for name, found in cost.items() if found[1] > found[0] * 1.3 + 5 * STEPS} == {}
