"""The store: runs, events once and in order, superseded runs, the chain, and moving it elsewhere."""

from __future__ import annotations

from pathlib import Path

import pytest
from sqlalchemy import text

from orchestrator.problems import Problems
from orchestrator.state import transfer
from orchestrator.state.records import PullRequestPlan, Run, RunEnd, StepEvent
from orchestrator.state.store import Store, chain
from orchestrator.state.store.database import reading, writing
from orchestrator.state.store.store import GapError

AT = "2026-01-01T00:00:0{}.000Z"


def run(number: int) -> Run:
    return Run(f"r{number}", "shop/prod", "deploy", "ana", f"c{number}", AT.format(number))


def step(number: int) -> StepEvent:
    return StepEvent(number, AT.format(0), "started", "s3_bucket.files")


def test_events_come_once_and_in_order(store: Store) -> None:
    fence = store.begin(run(1), "ana").fence
    assert store.append("r1", fence, (step(1), step(2))) == 2
    assert store.append("r1", fence, (step(1), step(2), step(3))) == 3
    with pytest.raises(GapError) as gap:
        store.append("r1", fence, (step(5),))
    assert gap.value.expected == 4
    assert [one.sequence for one in store.events("r1")] == [1, 2, 3]


def test_eight_merges_show_eight_commits(store: Store) -> None:
    fence = store.begin(run(1), "ana").fence
    for number in range(2, 9):
        store.begin(run(number), "ana", waits=True)
    store.end("r1", fence, RunEnd("succeeded", AT.format(9)), "ana")
    assert store.ask("r8", "ana").fence is not None
    shown = {one.id: (one.status, one.superseded_by) for one in store.runs().items}
    assert len(shown) == 8
    assert shown["r8"] == ("running", "")
    assert shown["r3"] == ("superseded", "r4")


def test_pull_requests_that_touch_the_same_are_told(store: Store) -> None:
    for number, fields in ((1, ("a.b:size",)), (2, ("a.b:size", "a.b:name")), (3, ("a.c:size",))):
        store.record_pull(PullRequestPlan("shop/prod", number, "c", "d", AT.format(1), fields=fields), "ana")
    assert [(one.number, one.fields) for one in store.conflicts("shop/prod", 1)] == [(2, ("a.b:size",))]
    assert store.conflicts("shop/prod", 3) == ()


def test_a_changed_history_is_found_out(store: Store) -> None:
    store.begin(run(1), "ana")
    store.note("sign-in", "bo", "viewer")
    with reading(store.engine) as connection:
        assert chain.verify(chain.entries(connection))[0] == 2
    with writing(store.engine) as connection:
        connection.execute(text("UPDATE history SET \"by\" = 'eve' WHERE number = 1"))
    with reading(store.engine) as connection, pytest.raises(Problems, match="entry 1 of the history"):
        chain.verify(chain.entries(connection))


def test_an_export_rebuilds_the_same(store: Store, tmp_path: Path) -> None:
    fence = store.begin(run(1), "ana").fence
    store.append("r1", fence, (step(1), step(2)))
    store.end("r1", fence, RunEnd("failed", AT.format(5), "it broke"), "ana")
    other = Store.open(f"sqlite:///{tmp_path}/other.db")
    assert transfer.restore(other, transfer.read(transfer.export(store))) == 2
    assert other.runs() == store.runs()
    assert other.events("r1") == store.events("r1")
    assert other.history() == store.history()
    other.engine.dispose()
