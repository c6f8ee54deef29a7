"""A service with a hundred environments of long names, ten thousand runs, and long texts."""

from __future__ import annotations

from orchestrator.cost.by_component import ComponentCost
from orchestrator.cost.stack_cost import BudgetLimit, StackCost
from orchestrator.state.protocol.records import Run, RunResult
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.store import Store
from tests.state.large_history import LargeHistory, fill_store
from tests.state.pages.sample_history import DAY_SECONDS, NOW, fake_sha

ENVIRONMENT_COUNT = 100
RUN_COUNT = 10_000
LONG_PROJECT = "jewellery-and-watches-of-the-whole-family-in-every-valley"
LONG_TEXT = "apprunner_service.a-service-with-a-long-name: " + "it answers every request with 500 " * 20
COMPONENTS = tuple(ComponentCost(f"bucket.a-bucket-with-a-long-name-{n}", n, n, n) for n in range(40))
LARGE_COST = StackCost(COMPONENTS, tuple(BudgetLimit(f"budget.limit-{n}", 300 + n, (100, 200)) for n in range(5)))
PAGES = {
    "environments": "/",
    "environment": f"/e/{LONG_PROJECT}/environment-of-the-branch-with-a-long-name-007",
    "cost": f"/e/{LONG_PROJECT}/environment-of-the-branch-with-a-long-name-007/cost",
    "history": "/history",
    "digest": "/digest",
    "log": "/history/log",
}


def fill_many(store: Store) -> None:
    """Fill an empty store."""
    fill_store(store, LargeHistory(RUN_COUNT, 1))
    for number in range(ENVIRONMENT_COUNT - 10):
        environment = f"{LONG_PROJECT}/environment-of-the-branch-with-a-long-name-{number:03d}"
        started = format_timestamp(NOW - number % 9 * DAY_SECONDS - 600)
        run = Run(
            f"many-{number}", environment, "deploy", "somebody-with-a-very-long-login-name", fake_sha(number), started,
            reason=LONG_TEXT, commit_title=LONG_TEXT, pull_request=number + 1,
        )  # fmt: skip
        store.begin_run(run, run.by, from_journal=True)
        ended = format_timestamp(NOW - number % 9 * DAY_SECONDS - 60)
        result = (
            RunResult("failed", ended, LONG_TEXT) if number % 7 == 3 else RunResult("succeeded", ended, cost=LARGE_COST)
        )
        store.end_run(run.id, None, result, run.by)
