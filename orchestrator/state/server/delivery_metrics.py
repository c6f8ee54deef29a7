"""Compute delivery metrics: deploy frequency, lead time, change failure rate, time to restore.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median

from orchestrator.state.protocol.records import Run
from orchestrator.state.protocol.timestamps import parse_timestamp
from orchestrator.state.server.filters import DeliveryMetrics

MEASURED_VERBS = frozenset({"deploy", "apply", "rollback"})
SUCCESS_STATUSES, FAILURE_STATUSES = frozenset({"succeeded"}), frozenset({"failed", "returned", "lost"})


def weekly_metrics(runs: Iterable[Run]) -> tuple[DeliveryMetrics, ...]:
    """Return the metrics of each week in which a run ended, oldest first.

    A deploy counts as failed if it failed itself or if a rollback followed directly.  The time to restore is the time
    from the first failure to the next success in the same environment.
    """
    ended_runs = sorted(
        (run for run in runs if run.verb in MEASURED_VERBS and run.ended_at), key=lambda run: run.ended_at
    )
    weeks: dict[str, list[Run]] = defaultdict(list)
    for run in ended_runs:
        weeks[_week_start(run)].append(run)
    failed_ids, restore_times = _find_failures(ended_runs)
    return tuple(_week_metrics(week, week_runs, failed_ids, restore_times) for week, week_runs in sorted(weeks.items()))


def _find_failures(ended_runs: list[Run]) -> tuple[set[str], dict[str, list[float]]]:
    """Return the IDs of runs that count as failed, and by week the seconds from each failure to the next success."""
    failed_ids: set[str] = set()
    first_failures: dict[str, Run] = {}
    previous_runs: dict[str, Run] = {}
    restore_times: dict[str, list[float]] = defaultdict(list)
    for run in ended_runs:
        previous = previous_runs.get(run.environment)
        if run.verb == "rollback" and previous and previous.verb != "rollback" and previous.status in SUCCESS_STATUSES:
            failed_ids.add(previous.id)
            first_failures.setdefault(run.environment, previous)
        if run.status in FAILURE_STATUSES and run.verb != "rollback":
            failed_ids.add(run.id)
            first_failures.setdefault(run.environment, run)
        if run.status in SUCCESS_STATUSES and run.environment in first_failures:
            first_failure = first_failures.pop(run.environment)
            restore_times[_week_start(run)].append(
                parse_timestamp(run.ended_at) - parse_timestamp(first_failure.ended_at)
            )
        if run.status in SUCCESS_STATUSES | FAILURE_STATUSES:
            previous_runs[run.environment] = run
    return failed_ids, restore_times


def _week_metrics(
    week: str, runs: list[Run], failed_ids: set[str], restore_times: dict[str, list[float]]
) -> DeliveryMetrics:
    deploys = [run for run in runs if run.verb != "rollback" and run.status in SUCCESS_STATUSES | FAILURE_STATUSES]
    lead_seconds = [
        parse_timestamp(run.ended_at) - parse_timestamp(run.committed_at)
        for run in deploys
        if run.status in SUCCESS_STATUSES and run.committed_at
    ]
    failures = sum(run.id in failed_ids for run in deploys)
    restore_seconds = restore_times.get(week, [])
    return DeliveryMetrics(
        week,
        len(deploys),
        failures,
        median(lead_seconds) if lead_seconds else None,
        median(restore_seconds) if restore_seconds else None,
    )


def _week_start(run: Run) -> str:
    day = datetime.fromisoformat(run.ended_at).date()
    return (day - timedelta(days=day.weekday())).isoformat()
