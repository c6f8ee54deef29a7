"""How well a team delivers: deploy frequency, lead time, change failure rate, time to restore.  Pure."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from datetime import datetime, timedelta
from statistics import median

from orchestrator.state.protocol.records import Run
from orchestrator.state.protocol.timestamps import moment
from orchestrator.state.server.filters import Delivery

COUNTED = frozenset({"deploy", "apply", "rollback"})
GOOD, BAD = frozenset({"succeeded"}), frozenset({"failed", "returned", "lost"})


def weekly(runs: Iterable[Run]) -> tuple[Delivery, ...]:
    """The metrics of each week in which a run ended, oldest first.

    A deploy has failed when it did so by itself, or a rollback was the next thing done.  The time to restore begins
    with the first failure and ends with the next success in the same environment.
    """
    ended = sorted((run for run in runs if run.verb in COUNTED and run.ended_at), key=lambda run: run.ended_at)
    weeks: dict[str, list[Run]] = defaultdict(list)
    for run in ended:
        weeks[_week(run)].append(run)
    bad, restored = _failures(ended)
    return tuple(_delivery(week, found, bad, restored) for week, found in sorted(weeks.items()))


def _failures(ended: list[Run]) -> tuple[set[str], dict[str, list[float]]]:
    """Ids of the runs that count as failed, and by week the seconds from failures to the successes after them."""
    bad: set[str] = set()
    broken: dict[str, Run] = {}
    before: dict[str, Run] = {}
    restored: dict[str, list[float]] = defaultdict(list)
    for run in ended:
        previous = before.get(run.environment)
        if run.verb == "rollback" and previous and previous.verb != "rollback" and previous.status in GOOD:
            bad.add(previous.id)
            broken.setdefault(run.environment, previous)
        if run.status in BAD and run.verb != "rollback":
            bad.add(run.id)
            broken.setdefault(run.environment, run)
        if run.status in GOOD and run.environment in broken:
            first = broken.pop(run.environment)
            restored[_week(run)].append(moment(run.ended_at) - moment(first.ended_at))
        if run.status in GOOD | BAD:
            before[run.environment] = run
    return bad, restored


def _delivery(week: str, runs: list[Run], bad: set[str], restored: dict[str, list[float]]) -> Delivery:
    deploys = [run for run in runs if run.verb != "rollback" and run.status in GOOD | BAD]
    lead = [
        moment(run.ended_at) - moment(run.committed_at) for run in deploys if run.status in GOOD and run.committed_at
    ]
    failures = sum(run.id in bad for run in deploys)
    back = restored.get(week, [])
    return Delivery(week, len(deploys), failures, median(lead) if lead else None, median(back) if back else None)


def _week(run: Run) -> str:
    day = datetime.fromisoformat(run.ended_at).date()
    return (day - timedelta(days=day.weekday())).isoformat()
