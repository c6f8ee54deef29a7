"""What is shown is what was written: tables against the history, whole exports, and texts that hide nothing."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import delete, event, insert, update
from sqlalchemy.exc import OperationalError

from orchestrator.problems import Problems
from orchestrator.state.protocol.records import PlanRecord, Run, RunResult, RunStatus, StepEvent
from orchestrator.state.server import export_import
from orchestrator.state.server.pages import run_feed
from orchestrator.state.server.store import Store, database, verification
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.projection_check import PROJECTED_TABLES
from tests.render.sample_plans import FULL_PLAN
from tests.state.api_service import run_api_service
from tests.state.pages.sample_history import FakeClock, fill_store

AT = "2026-01-01T00:00:00.000Z"


@pytest.fixture(scope="module")
def filled(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Store]:
    clock = FakeClock(0.0)
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('integrity')}/state.db", clock)
    fill_store(store, clock)
    verification.verify_database(store.engine)
    yield store
    verification.verify_database(store.engine)  # so what the tests falsify is found for what they falsified
    store.engine.dispose()


FALSIFIED: dict[str, Any] = {
    "a run that failed": update(t.runs).where(t.runs.c.id == "demo-1").values(status="succeeded"),
    "a run that is gone": delete(t.runs).where(t.runs.c.id == "demo-1"),
    "a release": update(t.releases).where(t.releases.c.number == 20).values(body="{}"),
    "a release that is gone": delete(t.releases).where(t.releases.c.number == 20),
    "a plan": update(t.plans).values(body="{}"),
    "the health of an environment": update(t.environments).values(health="unknown"),
    "a drift report": delete(t.drifts),
    "a decision": insert(t.decisions).values(environment="joiabagur/prod", address="x.y", body="{}"),
    "a pull request": update(t.pull_requests).values(is_open=False),
    "what a pull request touches": delete(t.pull_request_fields),
    "a model": update(t.models).values(body="{}"),
    "events of a run that goes on": delete(t.events).where(t.events.c.run == "staging-live", t.events.c.sequence > 3),
}


@pytest.mark.parametrize("name", FALSIFIED)
def test_a_table_that_says_something_else_is_found_out(filled: Store, name: str) -> None:
    """The pages show tables, so the chain proves nothing while they are not compared with it."""
    with filled.engine.connect() as connection, connection.begin() as transaction:
        assert connection.execute(FALSIFIED[name]).rowcount
        with pytest.raises(Problems, match=r"differs from the history|is missing|were changed"):
            verification.verify_tables(connection)
        transaction.rollback()


def test_every_table_made_from_the_history_is_compared(filled: Store) -> None:
    others = {t.events, t.history, t.chain, t.leases, t.stored_responses, t.tokens, t.sessions, t.used_tokens, t.outbox}

    assert set(t.metadata.tables.values()) == {*PROJECTED_TABLES, *others}


def test_a_lost_run_with_two_ends_is_whole(store: Store) -> None:
    """Its second end names more events than the first one: both are in the history."""
    fence = store.begin_run(Run("r1", "shop/prod", "apply", "ana", "c", AT), "ana").fence
    store.append_events("r1", fence, (StepEvent(1, AT, "step", "a.b"),))
    store.revoke_lease("shop/prod", "bo")
    verification.verify_database(store.engine)
    store.append_events("r1", None, (StepEvent(2, AT, "step", "a.b"),))
    verification.verify_database(store.engine)
    store.end_run("r1", None, RunResult("succeeded", AT), "ana")

    assert verification.verify_database(store.engine)[0] == 4


def test_an_export_that_was_cut_is_not_whole(filled: Store) -> None:
    """At the end of whichever line: the last line names the last entry."""
    lines = list(export_import.export_history(filled))
    verified = export_import.verify_export(export_import.read_export(lines))
    assert verified == verification.verify_database(filled.engine)

    for count in (1, 2, len(lines) // 2, len(lines) - 2, len(lines) - 1):
        with pytest.raises(Problems, match=r"its end is missing|missing"):
            export_import.verify_export(export_import.read_export(lines[:count]))
    with pytest.raises(Problems, match="missing"):
        export_import.verify_export(export_import.read_export([*lines[:-3], lines[-1]]))


def test_a_cut_export_is_not_imported(filled: Store, store: Store) -> None:
    lines = list(export_import.export_history(filled))
    with pytest.raises(Problems, match="its end is missing"):
        export_import.import_history(store, export_import.read_export(lines[: len(lines) // 2]))

    assert store.list_history().items == ()


HIDDEN = ("\u202e", "\x1b", "\u200b", "\u2066", "\x9b")


@pytest.mark.parametrize("hidden", HIDDEN)
def test_no_page_is_reordered_by_what_it_shows(tmp_path_factory: pytest.TempPathFactory, hidden: str) -> None:
    """Unicode TR36, bidirectional text spoofing: direction marks are shown as what they are."""
    store = Store.open(f"sqlite:///{tmp_path_factory.mktemp('hidden')}/state.db")
    text = f"main{hidden}nigol"
    run = Run("r1", "shop/prod", "deploy", text, text, AT, ref=text, reason=text, url=f"https://x/{text}")
    store.begin_run(run, text)
    store.end_run("r1", 1, RunResult("failed", AT, text, text), text)
    with run_api_service(store) as house:
        client = house.open_client()
        pages = [
            client.get(path, headers={"accept": "text/html"}).text
            for path in ("/", "/e/shop/prod", "/runs/r1", "/history", "/history/log")
        ]
        pages.append(client.get("/history", params={"by": text}, headers={"accept": "text/html"}).text)

    assert [hidden in page for page in pages] == [False] * len(pages)
    assert "nigol" in pages[2]


def test_no_redirect_goes_where_the_request_says(filled: Store) -> None:
    """A slash too many is no page; a redirect would name the host of the request."""
    with run_api_service(filled, proxy_secret="x" * 32) as house:
        client = house.open_client("read")
        for path in ("/models/", "/history/", "/api/v1/runs/", "/e/joiabagur/prod/"):
            answer = client.get(path, headers={"host": "evil.example"})
            assert (answer.status_code, answer.headers.get("location")) == (404, None)


@pytest.mark.parametrize("url", ["postgresql://app:pw@[::bad/x", "postgresql://app@host:port/x", "://", "sqlite://"])
def test_a_database_url_that_is_none_is_said_to_be(url: str) -> None:
    with pytest.raises(Problems) as found:
        database.create_database_engine(url)

    assert "pw" not in str(found.value)


def test_a_full_disk_is_said_to_be_full(store: Store) -> None:
    """SQLite, SQLITE_FULL; PostgreSQL, 53100 disk_full: writes fail, and the service is not ready for more."""

    def fail(*arguments: Any) -> None:
        if str(arguments[2]).startswith(("INSERT", "UPDATE")):
            raise OperationalError("INSERT", {}, Exception("database or disk is full"))

    with run_api_service(store) as house:
        client = house.open_client("operate", "read")
        assert client.get("/readyz").status_code == 200
        event.listen(store.engine, "before_cursor_execute", fail)
        refused = client.delete("/api/v1/environments/shop/prod/lease")
        event.remove(store.engine, "before_cursor_execute", fail)
        ready = client.get("/readyz")

    assert (refused.status_code, refused.json()["detail"]) == (503, "the database's disk is full")
    assert (ready.status_code, "database's disk is full" in ready.text) == (503, True)


def test_a_long_run_is_sent_in_part(store: Store) -> None:
    """Who comes late to a hundred thousand events gets the last lines, and nobody keeps all of them in memory."""
    fence = store.begin_run(Run("r1", "shop/prod", "apply", "ana", "c", AT), "ana").fence
    count = run_feed.MAX_LINES + 700
    store.append_events("r1", fence, tuple(StepEvent(n, AT, "step", "a.b") for n in range(1, count + 1)))
    with run_api_service(store) as house:
        client = house.open_client("write", "read")
        with client.stream("GET", "/runs/r1/live") as answer:
            lines = []
            for line in answer.iter_lines():
                lines.append(line)
                if line == "event: board":
                    break
        too_many = client.post(
            "/api/v1/runs/r1/events",
            json={"events": [{"sequence": 200_001, "at": AT, "kind": "step", "address": "a.b"}], "fence": fence},
        )

    assert lines.count("event: line") == run_feed.MAX_LINES
    assert too_many.status_code == 413


@pytest.mark.parametrize("status", ["succeeded", "failed", "returned", "interrupted"])
def test_an_environment_is_what_was_applied(store: Store, status: RunStatus) -> None:
    """A plan that anybody sends is a what-if: its cost, account and health stood on the card of prod."""
    applied, what_if = (
        PlanRecord(account, "shop/prod", AT, "ana", "c", replace(FULL_PLAN, account=account), monthly_usd)
        for account, monthly_usd in (("111122223333", 54.14), ("999999999999", 81.85))
    )

    def card() -> tuple[float | None, str, str]:
        environment = store.get_environment("shop/prod")
        assert environment is not None
        return environment.monthly_usd, environment.account, environment.health

    def apply(id_: str, record: PlanRecord, result: RunResult) -> None:
        fence = store.begin_run(
            Run(id_, "shop/prod", "apply", "ana", "c", f"2026-01-01T00:00:0{id_}.000Z"), "ana"
        ).fence
        store.record_plan(record, "ana")
        store.set_run_plan(id_, fence, record.digest, "ana")
        store.end_run(id_, fence, result, "ana")

    store.record_plan(what_if, "ana")
    assert card() == (None, "", "unknown")
    apply("1", applied, RunResult("succeeded", AT))
    store.record_plan(what_if, "ana")
    assert card() == (54.14, "111122223333", "healthy")
    apply("2", what_if, RunResult(status, AT, release=2))
    succeeded = status == "succeeded"
    assert card()[:2] == ((81.85, "999999999999") if succeeded else (54.14, "111122223333"))
    apply("0", applied, RunResult("succeeded", AT))  # a journal that comes late
    assert card()[:2] == ((81.85, "999999999999") if succeeded else (54.14, "111122223333")) or status == "interrupted"
    verification.verify_database(store.engine)
