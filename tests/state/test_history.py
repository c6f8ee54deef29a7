"""The history: every way to change it is found out, and an export rebuilds the same pages to the byte."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from msgspec.structs import replace
from sqlalchemy import Connection, delete, insert, select, update

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.state.protocol.records import AuditEntry, Run, RunResult, StepEvent
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server import export_import
from orchestrator.state.server.store import Store, history_chain, verification
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import read_connection, write_transaction
from tests.state import postgres
from tests.state.api_service import run_api_service
from tests.state.pages.page_service import PAGES
from tests.state.pages.sample_history import NOW, FakeClock, fill_store

AT = format_timestamp(1_790_000_000.0)


def write(store: Store) -> None:
    """Six entries."""
    for number in (1, 2):
        fence = store.begin_run(Run(f"r{number}", "shop/prod", "deploy", "ana", "c", AT), "ana").fence
        store.append_events(f"r{number}", fence, (StepEvent(1, AT, "step", "a.b", what="PutBucket"),))
        store.end_run(f"r{number}", fence, RunResult("succeeded", AT), "ana")
        store.record_action("sign-in", "bo", "viewer")


def entries(connection: Connection) -> list[AuditEntry]:
    return list(history_chain.iter_entries(connection))


def doing(statement: Any) -> Callable[[Connection], None]:
    def done(connection: Connection) -> None:
        connection.execute(statement)

    return done


def change(**values: str) -> Callable[[Connection], None]:
    return doing(update(t.history).where(t.history.c.number == 3).values(**values))


def reseal(connection: Connection) -> None:
    """Change an entry and give it a hash that fits it."""
    entry = replace(entries(connection)[2], by="eve")
    sealed = replace(entry, hash=history_chain.hash_entry(entry))
    connection.execute(update(t.history).where(t.history.c.number == 3).values(by="eve", hash=sealed.hash))


def leave_out(number: int) -> Callable[[Connection], None]:
    return doing(delete(t.history).where(t.history.c.number == number))


def close_the_gap(connection: Connection) -> None:
    """Leave an entry out and count the others anew."""
    leave_out(3)(connection)
    for number in (4, 5, 6):
        connection.execute(update(t.history).where(t.history.c.number == number).values(number=number - 1))


def swap(connection: Connection) -> None:
    """Two entries change places."""
    for old, new in ((3, 99), (4, 3), (99, 4)):
        connection.execute(update(t.history).where(t.history.c.number == old).values(number=new))


def put_in(connection: Connection) -> None:
    """An entry of one's own at the end, which does not know the last hash."""
    made = AuditEntry(7, AT, "eve", "run.begin", "shop/prod", "r9", "{}", history_chain.GENESIS_HASH, "")
    made = replace(made, hash=history_chain.hash_entry(made))
    connection.execute(insert(t.history).values(**{name: getattr(made, name) for name in made.__struct_fields__}))


def chop(connection: Connection) -> None:
    """The end is missing; the entries that are left are whole."""
    connection.execute(delete(t.history).where(t.history.c.number > 4))


def touch_event(connection: Connection) -> None:
    """A step of a run that is over says something else."""
    body = canonical_json.dump(StepEvent(1, AT, "step", "a.b", what="nothing")).decode()
    connection.execute(update(t.events).where(t.events.c.run == "r1").values(body=body))


def lose_event(connection: Connection) -> None:
    connection.execute(delete(t.events).where(t.events.c.run == "r2"))


TAMPERED: dict[str, tuple[Callable[[Connection], None], str]] = {
    "who": (change(by="eve"), "entry 3 of the history"),
    "when": (change(at=format_timestamp(0.0)), "entry 3 of the history"),
    "what": (change(deed="plan"), "entry 3 of the history"),
    "where": (change(environment="shop/qa"), "entry 3 of the history"),
    "about what": (change(subject="r9"), "entry 3 of the history"),
    "the record itself": (change(payload="[]"), "entry 3 of the history"),
    "its hash": (change(hash="0" * 64), "entry 3 of the history"),
    "the hash of the one before": (change(previous="0" * 64), "entry 3 of the history"),
    "an entry and its hash": (reseal, "entry 4 of the history"),
    "the first left out": (leave_out(1), "entry 1 of the history is missing"),
    "one left out": (leave_out(4), "entry 4 of the history is missing"),
    "one left out, the others counted anew": (close_the_gap, "entry 3 of the history"),
    "two that changed places": (swap, "entry 3 of the history"),
    "one put in": (put_in, "entry 7 of the history"),
    "the end cut off": (chop, "entry 5 of the history is missing"),
    "a step of a run": (touch_event, "run r1"),
    "a step lost": (lose_event, "run r2"),
}


@pytest.fixture(scope="module")
def written(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A database with those six entries, at rest."""
    path = tmp_path_factory.mktemp("written") / "state.db"
    store = Store.open(f"sqlite:///{path}")
    write(store)
    store.engine.dispose()
    return path


@pytest.mark.slow
@pytest.mark.parametrize("kind", TAMPERED)
def test_what_was_tampered_with_is_named(kind: str, written: Path, tmp_path: Path) -> None:
    """By whoever can write to the database, past the service."""
    shutil.copy(written, tmp_path / "state.db")
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    assert verification.verify_database(store.engine)[0] == 6
    deed, named = TAMPERED[kind]
    with write_transaction(store.engine) as connection:
        deed(connection)
    with pytest.raises(Problems, match=named):
        verification.verify_database(store.engine)
    store.engine.dispose()


def test_a_whole_history_is_whole(store: Store) -> None:
    write(store)

    number, last = verification.verify_database(store.engine)
    with read_connection(store.engine) as connection:
        assert (number, last) == tuple(connection.execute(select(t.chain.c.number, t.chain.c.hash)).one())


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["changed", "left out", "doubled", "cut"])
def test_an_export_that_was_tampered_with_is_not_imported(kind: str, tmp_path: Path) -> None:
    """The first bad line is named, and nothing is written."""
    store, other = (Store.open(f"sqlite:///{tmp_path}/{name}.db") for name in ("one", "other"))
    write(store)
    lines = list(export_import.export_history(store))
    place = next(place for place, line in enumerate(lines) if json.loads(line).get("entry", {}) and place > 3)
    if kind == "changed":
        lines[place] = lines[place].replace(b'"ana"', b'"eve"').replace(b'"bo"', b'"eve"')
    elif kind == "left out":
        del lines[place]
    elif kind == "doubled":
        lines.insert(place, lines[place])
    else:
        lines[-1] = lines[-1][:-20]
    with pytest.raises(Problems):
        export_import.import_history(other, export_import.read_export(lines))

    assert other.list_history().items == ()
    assert other.list_runs().items == ()
    for one in (store, other):
        one.engine.dispose()


def pages(store: Store) -> dict[str, str]:
    """Every page as it is sent, and what the API says of it all."""
    with run_api_service(store) as made:
        client = made.open_client()
        paths = {**PAGES, "export": "/api/v1/history/export", "runs": "/api/v1/runs?limit=500"}  # fmt: skip
        del paths["not-found"]
        return {name: client.get(path, headers={"accept": "text/html"}).text for name, path in paths.items()}


def test_an_export_rebuilds_the_same_pages(cluster: postgres.Cluster, tmp_path: Path) -> None:
    """From SQLite to PostgreSQL and back: every page is the same to the byte, and so is the next export."""
    clock = FakeClock(0.0)
    store = Store.open(f"sqlite:///{tmp_path}/one.db", clock)
    fill_store(store, clock)
    for run in ("staging-live", "staging-next"):
        found = store.get_run(run)
        assert found is not None
        holder = store.get_lease(found.environment).holder
        fence = holder.fence if holder is not None and holder.run == run else None
        store.end_run(run, fence, RunResult("interrupted", format_timestamp(NOW)), found.by)
    first = list(export_import.export_history(store))
    there = Store.open(cluster.create_database(), clock)
    export_import.import_history(there, export_import.read_export(first))
    back = Store.open(f"sqlite:///{tmp_path}/two.db", clock)
    export_import.import_history(back, export_import.read_export(export_import.export_history(there)))

    assert list(export_import.export_history(back)) == first
    assert (
        verification.verify_database(there.engine)
        == verification.verify_database(back.engine)
        == verification.verify_database(store.engine)
    )
    before = pages(store)
    for name, text in pages(there).items():
        assert text == before[name], name
