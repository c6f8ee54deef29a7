"""Read from the state service what a stack cost last month, by component.

API: GET ``/api/v1/environments/PROJECT/NAME/costs``.
"""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import TYPE_CHECKING

from orchestrator.cost.applied_months import accrue_month, start_of_month
from orchestrator.runs import reporter

if TYPE_CHECKING:
    from orchestrator.state.client.api_client import StateClient
    from orchestrator.state.protocol.records import AppliedCost

PAGE_SIZE = 500
MAX_PAGES = 4


def read_last_month(environment: str, now: datetime, not_checked: list[str]) -> Mapping[str, float] | None:
    """Return USD by component; None without a service or a record of last month.

    A service that cannot be read is noted in ``not_checked``.
    """
    from orchestrator.problems import Problems
    from orchestrator.state.client.api_client import RefusedError, UnreachableError
    from orchestrator.state.protocol.applied_costs import to_points
    from orchestrator.state.protocol.records import AppliedCost

    month, costs = start_of_month(now, 1), list[AppliedCost]()
    try:
        client = reporter.find_client()
        if client is None:
            return None
        with client:
            costs = _read_costs(client, environment, month)
    except (UnreachableError, RefusedError, Problems) as error:
        not_checked.append(f"last month's cost: {str(error)[:300]}")
        return None
    points = to_points(costs)
    if not points or points[0].at >= start_of_month(now):
        return None
    return accrue_month(points, month, start_of_month(now)).usd


def _read_costs(client: StateClient, environment: str, since: datetime) -> list[AppliedCost]:
    """Return the costs of runs, newest first, until one before ``since``."""
    from orchestrator.state.protocol.records import AppliedCost, Page

    costs: list[AppliedCost] = []
    cursor = ""
    for _ in range(MAX_PAGES):
        path = f"/environments/{environment}/costs?limit={PAGE_SIZE}&cursor={cursor}"
        page = client.request_record(
            Page[AppliedCost], "GET", path, timeout_seconds=reporter.BEST_EFFORT_TIMEOUT_SECONDS
        )
        costs.extend(page.items)
        cursor = page.cursor
        if not cursor or datetime.fromisoformat(costs[-1].at) < since:
            break
    return costs
