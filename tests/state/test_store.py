"""The store: runs, events once and in order, superseded runs, the chain, and moving it elsewhere."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path

import psycopg
import pytest
from msgspec.structs import replace
from sqlalchemy import text

from orchestrator.problems import Problems
from orchestrator.release import Release, Vector
from orchestrator.state.protocol import timestamps
from orchestrator.state.protocol.lease_queue import LeaseHeldError
from orchestrator.state.protocol.records import (
    DriftReport,
    ModelVersion,
    PullRequestPlan,
    ReleaseRecord,
    Run,
    RunResult,
    StepEvent,
)
from orchestrator.state.protocol.timestamps import parse_timestamp
from orchestrator.state.server import export_import
from orchestrator.state.server.store import Store, history_chain
from orchestrator.state.server.store.database import read_connection, write_transaction
from orchestrator.state.server.store.store import EventGapError, RunEndedError

HANG_UP = (
    "SELECT pg_terminate_backend(pid, 9000) FROM pg_stat_activity WHERE datname = current_database() AND pid <> %s"
)
AT = "2026-01-01T00:00:0{}.000Z"


def run(number: int) -> Run:
    return Run(f"r{number}", "shop/prod", "deploy", "ana", f"c{number}", AT.format(number))


def step(number: int) -> StepEvent:
    return StepEvent(number, AT.format(0), "started", "s3_bucket.files")


def one_run(store: Store) -> Run:
    found = store.get_run("r1")
    assert found is not None
    return found


def test_a_database_that_has_hung_up_is_called_again(store: Store) -> None:
    """PostgreSQL was started again: whoever asks next does not notice."""
    if store.engine.dialect.name != "postgresql":
        pytest.skip("a file does not hang up")
    store.begin_run(run(1), "ana", from_journal=True)
    with ExitStack() as open_:
        for _ in range(3):  # as many wait in the pool
            open_.enter_context(store.engine.connect())
    url = store.engine.url.set(drivername="postgresql").render_as_string()
    with psycopg.connect(url, autocommit=True) as other:
        other.execute(HANG_UP, (other.info.backend_pid,))

    assert one_run(store).id == "r1"
    assert store.begin_run(run(2), "ana", from_journal=True).run.id == "r2"


def test_events_come_once_and_in_order(store: Store) -> None:
    fence = store.begin_run(run(1), "ana").fence
    assert store.append_events("r1", fence, (step(1), step(2))) == 2
    assert store.append_events("r1", fence, (step(1), step(2), step(3))) == 3
    with pytest.raises(EventGapError) as gap:
        store.append_events("r1", fence, (step(5),))
    assert gap.value.expected == 4
    assert [one.sequence for one in store.list_events("r1")] == [1, 2, 3]


def test_eight_merges_show_eight_commits(store: Store) -> None:
    fence = store.begin_run(run(1), "ana").fence
    for number in range(2, 9):
        store.begin_run(run(number), "ana", can_wait=True)
    store.end_run("r1", fence, RunResult("succeeded", AT.format(9)), "ana")
    assert store.request_lease("r8", "ana").fence is not None
    shown = {one.id: (one.status, one.superseded_by) for one in store.list_runs().items}
    assert len(shown) == 8
    assert shown["r8"] == ("running", "")
    assert shown["r3"] == ("superseded", "r4")


def test_pull_requests_that_touch_the_same_are_told(store: Store) -> None:
    for number, fields in ((1, ("a.b:size",)), (2, ("a.b:size", "a.b:name")), (3, ("a.c:size",))):
        store.record_pull_request(PullRequestPlan("shop/prod", number, "c", "d", AT.format(1), fields=fields), "ana")
    assert [(one.number, one.fields) for one in store.list_conflicts("shop/prod", 1)] == [(2, ("a.b:size",))]
    assert store.list_conflicts("shop/prod", 3) == ()


def test_a_changed_history_is_found_out(store: Store) -> None:
    store.begin_run(run(1), "ana")
    store.record_action("sign-in", "bo", "viewer")
    with read_connection(store.engine) as connection:
        assert history_chain.verify_entries(history_chain.iter_entries(connection))[0] == 2
    with write_transaction(store.engine) as connection:
        connection.execute(text("UPDATE history SET \"by\" = 'eve' WHERE number = 1"))
    with read_connection(store.engine) as connection, pytest.raises(Problems, match="entry 1 of the history"):
        history_chain.verify_entries(history_chain.iter_entries(connection))


def test_an_export_rebuilds_the_same(store: Store, tmp_path: Path) -> None:
    fence = store.begin_run(run(1), "ana").fence
    store.append_events("r1", fence, (step(1), step(2)))
    store.end_run("r1", fence, RunResult("failed", AT.format(5), "it broke"), "ana")
    other = Store.open(f"sqlite:///{tmp_path}/other.db")
    assert export_import.import_history(other, export_import.read_export(export_import.export_history(store))) == 2
    assert other.list_runs() == store.list_runs()
    assert other.list_events("r1") == store.list_events("r1")
    assert other.list_history() == store.list_history()
    other.engine.dispose()


def test_a_lost_run_tells_its_story_afterwards(store: Store, tmp_path: Path) -> None:
    """It was given up, and hands in what it did: each event once, and how it really ended."""
    fence = store.begin_run(run(1), "ana").fence
    store.append_events("r1", fence, (step(1),))
    store.revoke_lease("shop/prod", "bo")
    assert one_run(store).status == "lost"
    with pytest.raises(RunEndedError):
        store.set_run_plan("r1", fence, "d" * 64, "ana")
    for _ in range(2):
        store.begin_run(run(1), "ana", from_journal=True)
        store.set_run_plan("r1", None, "d" * 64, "ana")
        assert store.append_events("r1", None, (step(1), step(2))) == 2
        store.end_run("r1", None, RunResult("succeeded", AT.format(9)), "ana")
    with pytest.raises(RunEndedError):
        store.append_events("r1", None, (step(3),))
    assert (one_run(store).status, one_run(store).plan, one_run(store).sequence) == ("succeeded", "d" * 64, 2)
    other = Store.open(f"sqlite:///{tmp_path}/other.db")
    export_import.import_history(other, export_import.read_export(export_import.export_history(store)))
    assert (other.list_runs(), other.list_events("r1")) == (store.list_runs(), store.list_events("r1"))
    other.engine.dispose()


def test_whoever_does_not_wait_is_told_who_writes(store: Store) -> None:
    store.begin_run(run(1), "ana")
    with pytest.raises(LeaseHeldError) as held:
        store.begin_run(run(2), "bo")
    assert held.value.holder is not None
    assert held.value.holder.run == "r1"
    assert store.get_run("r2") is None


def test_what_is_handed_in_late_is_not_the_last_run(store: Store) -> None:
    store.begin_run(run(5), "ana")
    store.begin_run(run(1), "bo", from_journal=True)
    shown = store.get_environment("shop/prod")
    assert shown is not None
    assert shown.last_run is not None
    assert shown.last_run.id == "r5"


def released(store: Store, number: int, model: str, of: int | None = None, why: str = "") -> None:
    """A release that had this model, and perhaps can come back no more."""
    made = Release(
        number, f"2026-11-24T10:0{number}:00Z", "ana", "c", Vector("m", models={"b": model}), "healthy", of=of
    )
    store.record_release(ReleaseRecord("shop/prod", made, restorable=not why, obstacle=why), None, "ci")


def current(store: Store) -> tuple[int, list[str]]:
    """The release and the models that stand."""
    environment = store.get_environment("shop/prod")
    assert environment is not None
    assert environment.release is not None
    return environment.release.release.number, [one.version for one in store.list_model_versions() if one.current]


def test_going_back_leads_to_the_earlier_model(store: Store) -> None:
    """Of what is told of an earlier release nothing moves, nor of a rollback from before the last upload."""
    for number, version in enumerate(("m1", "m2", "m3"), 1):
        at = f"2026-11-24T10:0{2 * number - 1}:30.000Z"
        released(store, 2 * number - 1, f"m{number - 1}")
        store.record_model_version(ModelVersion("shop/prod", "products", version, at, "ana", current=True), "ana")
    assert current(store) == (5, ["m3"])
    released(store, 6, "m2", of=3)
    assert current(store) == (6, ["m2"])
    released(store, 1, "m1", why="its image is gone")
    assert current(store) == (6, ["m2"])
    store.record_model_version(
        ModelVersion("shop/prod", "products", "m4", "2026-11-24T11:00:00.000Z", "bo", current=True), "bo"
    )
    released(store, 7, "m1", of=2)
    assert current(store) == (7, ["m4"])


def test_a_report_that_is_sent_again_is_kept_once(store: Store) -> None:
    report = DriftReport("shop/prod", AT.format(1), "ana", "c1", 3)
    assert store.record_drift_report(report, "ana") == store.record_drift_report(report, "ana")
    assert len(store.list_drift_reports("shop/prod").items) == 1


@pytest.mark.parametrize(
    "text", ["", "yesterday", "2026-13-01T00:00:00Z", "2026-01-01 00:00:00", "2026-01-01T00:00:00+01:00"]
)
def test_a_time_that_is_none_is_refused(text: str) -> None:
    with pytest.raises(Problems, match=r"started_at: .* is not a valid time"):
        timestamps.check_times(replace(run(1), started_at=text), 2e9)
    with pytest.raises(Problems, match=r"at: .* is not a valid time"):
        timestamps.check_times((replace(step(1), at=text), RunResult("failed", text or "?")), 2e9)


def test_a_clock_that_goes_ahead_is_refused() -> None:
    with pytest.raises(Problems, match="the client's clock is wrong"):
        timestamps.check_times(run(1), parse_timestamp(run(1).started_at) - 3600)
    timestamps.check_times(run(1), parse_timestamp(run(1).started_at) - 60)
