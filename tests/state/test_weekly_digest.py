"""The digest of a week: once, on Monday, and true of what ran, what drifted, what it costs and what is due."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from orchestrator.cost.by_component import ComponentCost
from orchestrator.cost.stack_cost import BudgetLimit, StackCost
from orchestrator.release import Release, Vector
from orchestrator.state.protocol.records import (
    DriftedResource,
    DriftReport,
    ReleaseRecord,
    ReviewRecord,
    ReviewSection,
    Run,
    RunResult,
)
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store
from orchestrator.state.server.webhooks import WebhookWorker
from orchestrator.state.server.weekly_digest import WEEK, build_digest, format_text, start_of_week
from tests.state.pages.sample_history import FakeClock
from tests.state.test_webhooks import receiver, settings

MONDAY = datetime(2026, 11, 16, tzinfo=UTC)
NEXT_MONDAY = MONDAY + WEEK
COST = StackCost((ComponentCost("database.main", 30, 30, 30),), (BudgetLimit("budget.monthly", 60, (20,)),))
DATE = "2027-02-28  rds_instance.main: standard support of PostgreSQL 13 ends"


def run(store: Store, id_: str, at: datetime, verb: str, result: RunResult, environment: str = "shop/prod") -> None:
    started = format_timestamp(at.timestamp())
    store.begin_run(Run(id_, environment, verb, "ana", "c0ffee", started), "ana", from_journal=True)  # type: ignore[arg-type]
    store.end_run(id_, None, result, "ana")


def fill(store: Store) -> None:
    """A week of prod and staging, with what happened right before and right after it."""
    ended = format_timestamp(MONDAY.timestamp())
    fine, bad = RunResult("succeeded", ended, cost=COST), RunResult("failed", ended, "it broke")
    run(store, "before", MONDAY - timedelta(seconds=1), "deploy", bad)
    for number in range(3):
        run(store, f"d{number}", MONDAY + timedelta(days=number), "deploy", fine)
    run(store, "bad", MONDAY + timedelta(days=4), "deploy", bad)
    run(store, "back", MONDAY + timedelta(days=4, hours=1), "rollback", fine)
    run(store, "old", MONDAY + timedelta(days=4), "deploy", RunResult("superseded", ended))
    run(store, "after", NEXT_MONDAY, "deploy", bad)
    run(store, "s", MONDAY - timedelta(days=30), "apply", RunResult("succeeded", ended), "shop/staging")
    release = Release(4, ended, "ana", "c0ffee", Vector("m", {}, {}, {}, {}, {}), "healthy")
    store.record_release(ReleaseRecord("shop/prod", release), None, "ana")
    drifted = (DriftedResource("s3_bucket.files", "drifted"), DriftedResource("s3_bucket.web", "pending"))
    store.record_drift_report(DriftReport("shop/prod", ended, "ci", "c", 9, drifted), "ci")
    store.record_review(ReviewRecord("shop/prod", ended, "ana", (ReviewSection("Dates", (DATE,)),)), "ana")


def test_the_text_says_what_happened(store: Store) -> None:
    fill(store)

    drift = "1 resource drifted, 1 resource pending"
    cost = "7.29 USD this month, forecast 15.00 USD (25% of the budget of 60 USD)"
    text = format_text(build_digest(store, MONDAY, NEXT_MONDAY + timedelta(hours=7)), "https://state.example/digest")

    assert text.splitlines() == [
        "Weekly digest, 2026-11-16 to 2026-11-22: 4 deploys, 1 failed run, 1 rollback",
        f"• shop/prod: 4 deploys, 1 failed run, 1 rollback; release 4 is current; {drift}; {cost}",
        f"    {DATE}",
        "• shop/staging: no deploys; drift not checked",
        "https://state.example/digest",
    ]


def test_it_is_sent_once_on_monday_whoever_tries(store: Store) -> None:
    """Two replicas look every minute, before it is time and long after."""
    clock = FakeClock(NEXT_MONDAY.timestamp() - 60)
    store.clock = clock
    fill(store)
    with receiver() as there:
        workers = [WebhookWorker(store, settings(there)), WebhookWorker(store, settings(there))]
        queued = []
        for hours in (0, 6.9, 7.1, 8, 100, 24 * 6.9):
            clock.now = NEXT_MONDAY.timestamp() + hours * 3600
            queued.append([worker.send_digest() for worker in workers])
        for worker in workers:
            worker.send_due()
            worker.send_due()
        digests = [body for body in there.bodies("/hook") if body["event"] == "digest"]
        slack = [body["text"] for body in there.bodies("/slack") if body["text"].startswith("Weekly digest")]

    assert queued == [[False, False]] * 2 + [[True, False]] + [[False, False]] * 3
    assert (len(digests), len(slack)) == (1, 1)
    assert digests[0]["at"] == "2026-11-16"
    assert slack[0].splitlines()[0] == "Weekly digest, 2026-11-16 to 2026-11-22: 4 deploys, 1 failed run, 1 rollback"


@pytest.mark.parametrize("has_target", [True, False])
def test_a_week_without_runs_and_a_service_without_targets_send_none(store: Store, has_target: bool) -> None:
    store.clock = FakeClock((NEXT_MONDAY + timedelta(days=1)).timestamp())
    with receiver() as there:
        target = settings(there)
        if not has_target:
            fill(store)
            target = type(target)()
        assert not WebhookWorker(store, target).send_digest()


@given(moment=st.datetimes(timezones=st.just(UTC)).filter(lambda at: at.year > 1))
def test_a_week_begins_on_monday(moment: datetime) -> None:
    monday = start_of_week(moment)

    assert (monday.weekday(), monday.hour, monday.utcoffset()) == (0, 0, timedelta(0))
    assert timedelta(0) <= moment - monday < WEEK


@pytest.mark.parametrize("week", ["2026-11-18", "", "nonsense", "0001-01-01", "9999-12-31", "2026-W48"])
def test_the_page_answers_for_any_week(tmp_path: Path, week: str) -> None:
    from tests.state.api_service import run_api_service

    store = Store.open(f"sqlite:///{tmp_path}/state.db", FakeClock((NEXT_MONDAY + timedelta(days=1)).timestamp()))
    fill(store)
    with run_api_service(store) as service:
        response = service.open_client().get("/digest", params={"week": week})

    assert response.status_code == 200
    assert ("2026-11-16" if week == "2026-11-18" else "2026-11-23") in response.text
    assert "shop/prod" in response.text
