"""What environments cost over time: told by each run that succeeded, whatever its plan was called before."""

from __future__ import annotations

from pathlib import Path

import pytest
from msgspec.structs import replace
from sqlalchemy import text

from orchestrator.cost.by_component import ComponentCost
from orchestrator.cost.stack_cost import StackCost
from orchestrator.problems import Problems
from orchestrator.state.protocol.records import PlanRecord, Run, RunResult, RunStatus
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store
from orchestrator.state.server.store.database import write_transaction
from orchestrator.state.server.store.verification import verify_database
from tests.render.sample_plans import FULL_PLAN
from tests.state.api_service import run_api_service

START = 1_795_000_000.0


def stack(usd: float) -> StackCost:
    return StackCost((ComponentCost("database.main", usd, usd, usd),))


def apply(store: Store, number: int, status: RunStatus, cost: StackCost | None, *, digest: str = "same") -> None:
    """A run that applies the plan ``digest``, from a journal."""
    run = Run(f"r{number}", "shop/prod", "apply", "ana", "c", format_timestamp(START + number * 100), plan=digest)
    store.begin_run(run, "ana", from_journal=True)
    store.end_run(run.id, None, RunResult(status, format_timestamp(START + number * 100 + 50), cost=cost), "ana")


def test_a_run_without_changes_says_what_the_stack_costs_now(store: Store) -> None:
    """All plans without changes have one digest, so the plan's own cost is that of the first of them."""
    store.record_plan(PlanRecord("same", "shop/prod", "2026-01-01", "ana", "c", FULL_PLAN, 20.0), "ana")

    apply(store, 1, "succeeded", stack(20.0))
    apply(store, 2, "succeeded", stack(31.0))

    environment = store.get_environment("shop/prod")
    assert environment is not None
    assert environment.monthly_usd == 31.0
    assert [cost.monthly_usd for cost in store.list_applied_costs("shop/prod").items] == [31.0, 20.0]
    assert store.list_applied_costs("shop/prod").items[0].cost == stack(31.0)


def test_only_what_succeeded_counts_and_late_journals_take_their_place(store: Store) -> None:
    apply(store, 3, "succeeded", stack(30.0))
    apply(store, 4, "failed", stack(99.0))
    apply(store, 5, "returned", stack(99.0))
    apply(store, 1, "succeeded", stack(10.0))  # its journal came last
    apply(store, 2, "succeeded", None, digest="unknown")

    assert [cost.run for cost in store.list_applied_costs("shop/prod").items] == ["r3", "r1"]
    environment = store.get_environment("shop/prod")
    assert environment is not None
    assert environment.monthly_usd == 30.0


def test_a_destroyed_stack_costs_nothing(store: Store) -> None:
    apply(store, 1, "succeeded", stack(30.0))
    apply(store, 2, "succeeded", StackCost())

    assert store.list_applied_costs("shop/prod").items[0].monthly_usd == 0.0


def test_pages_of_the_list_follow_each_other(store: Store) -> None:
    for number in range(7):
        apply(store, number, "succeeded", stack(number))

    first = store.list_applied_costs("shop/prod", limit=4)
    second = store.list_applied_costs("shop/prod", first.cursor, 4)

    assert [cost.run for cost in (*first.items, *second.items)] == [f"r{number}" for number in reversed(range(7))]
    assert second.cursor == ""


def test_a_changed_cost_is_found_by_the_history(store: Store) -> None:
    """The table is compared with the chain like every other."""
    apply(store, 1, "succeeded", stack(30.0))
    verify_database(store.engine)
    with write_transaction(store.engine) as connection:
        connection.execute(text("UPDATE costs SET body = replace(body, '30', '3')"))

    with pytest.raises(Problems, match="costs shop/prod r1 differs from the history"):
        verify_database(store.engine)


def test_the_plan_of_an_older_client_gives_the_total(store: Store) -> None:
    plan = replace(FULL_PLAN, digest="old")
    store.record_plan(PlanRecord("old", "shop/prod", "2026-01-01", "ana", "c", plan, 54.14), "ana")

    apply(store, 1, "succeeded", None, digest="old")

    [cost] = store.list_applied_costs("shop/prod").items
    assert (cost.monthly_usd, cost.cost) == (54.14, None)


@pytest.mark.parametrize("amount", ["1e308", "-1", "1e10", '"9"', "null"])
def test_an_amount_that_no_stack_costs_is_refused(tmp_path: Path, amount: str) -> None:
    """Sums of them would be infinite, and the page an error for everybody."""
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    at = format_timestamp(START)
    cost = f'{{"components": [{{"component": "a", "idle": {amount}, "expected": 1, "active": 1}}]}}'
    body = f'{{"end": {{"status": "succeeded", "ended_at": "{at}", "cost": {cost}}}}}'
    store.begin_run(Run("r1", "shop/prod", "apply", "ana", "c", at), "test", from_journal=True)
    with run_api_service(store) as service:
        client = service.open_client("read", "write")
        response = client.post("/api/v1/runs/r1/end", content=body, headers={"content-type": "application/json"})
        page = client.get("/e/shop/prod/cost")

    assert (response.status_code, page.status_code) == (422, 200)
    assert store.list_applied_costs("shop/prod").items == ()


def test_a_run_that_did_not_say_when_it_ended_has_the_time_of_its_start(tmp_path: Path) -> None:
    store = Store.open(f"sqlite:///{tmp_path}/state.db")
    at = format_timestamp(START)
    store.begin_run(Run("r1", "shop/prod", "apply", "ana", "c", at), "ana", from_journal=True)
    store.end_run("r1", None, RunResult("succeeded", "", cost=stack(3)), "ana")
    with run_api_service(store) as service:
        response = service.open_client("read").get("/e/shop/prod/cost")

    assert response.status_code == 200
    assert [cost.at for cost in store.list_applied_costs("shop/prod").items] == [at]
