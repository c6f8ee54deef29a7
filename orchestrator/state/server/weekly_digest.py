"""Summarise a week of all environments: deploys, failures, drift, cost and dates.  Reads the store only."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from datetime import UTC, datetime, timedelta

from msgspec import Struct

from orchestrator.cost.applied_months import MonthForecast, forecast_month
from orchestrator.quantities import format_count
from orchestrator.state.protocol.applied_costs import to_points
from orchestrator.state.protocol.records import Environment, Run
from orchestrator.state.protocol.timestamps import format_timestamp
from orchestrator.state.server.filters import RunFilter
from orchestrator.state.server.store import Store

WEEK = timedelta(days=7)
SEND_HOUR = timedelta(hours=7)
"""Time after the end of a week, Monday 00:00 UTC, at which its digest is sent."""
MAX_RUNS = 2000
MAX_COSTS = 200
"""Costs of an environment that are read: its newest runs, enough for a month."""
MAX_LISTED_ENVIRONMENTS = 30
FAILED_STATUSES = frozenset({"failed", "returned", "lost"})


class EnvironmentDigest(Struct, frozen=True):
    """One environment: its runs of the week, and how it is now.  ``dates`` are from its newest review."""

    environment: Environment
    deploys: int
    failures: int
    rollbacks: int
    forecast: MonthForecast | None
    dates: tuple[str, ...]

    @property
    def is_quiet(self) -> bool:
        """Whether nothing ran and nothing needs attention."""
        report = self.environment.drift
        return not (self.deploys or self.failures or self.rollbacks or (report and report.status != "in sync"))


class Digest(Struct, frozen=True):
    """A week from ``since`` until before ``until``; environments with failures first."""

    since: datetime
    until: datetime
    environments: tuple[EnvironmentDigest, ...]
    is_truncated: bool = False

    @property
    def last_day(self) -> datetime:
        """The last moment of the week, or now."""
        return self.until - timedelta(seconds=1)

    @property
    def deploys(self) -> int:
        """Deploys of all environments."""
        return sum(item.deploys for item in self.environments)

    @property
    def failures(self) -> int:
        """Runs of all environments that failed, were rolled back or were lost."""
        return sum(item.failures for item in self.environments)

    @property
    def rollbacks(self) -> int:
        """Rollbacks of all environments."""
        return sum(item.rollbacks for item in self.environments)


def start_of_week(moment: datetime) -> datetime:
    """Return Monday 00:00 UTC of the week of ``moment``."""
    day = moment.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    return day - timedelta(days=day.weekday())


def build_digest(store: Store, since: datetime, now: datetime) -> Digest:
    """Return the digest of the week that starts at ``since``; what is not of a week is as it is ``now``."""
    until = min(since + WEEK, now)
    runs, is_truncated = _read_runs(store, since, until)
    by_environment: dict[str, list[Run]] = {}
    for run in runs:
        by_environment.setdefault(run.environment, []).append(run)
    items = [
        _summarize(store, environment, by_environment.get(environment.key, []), now)
        for environment in store.list_environments()
    ]
    items.sort(key=lambda item: (-item.failures, item.is_quiet, item.environment.key))
    return Digest(since, until, tuple(items), is_truncated)


def _read_runs(store: Store, since: datetime, until: datetime) -> tuple[list[Run], bool]:
    """Return the runs that started in the week, and whether there were more than are read."""
    run_filter = RunFilter(since=format_timestamp(since.timestamp()), until=format_timestamp(until.timestamp()))
    runs: list[Run] = []
    cursor = ""
    while len(runs) < MAX_RUNS:
        page = store.list_runs(run_filter, cursor, 500)
        runs.extend(page.items)
        cursor = page.cursor
        if not cursor:
            break
    return runs, bool(cursor)


def _summarize(store: Store, environment: Environment, runs: Iterable[Run], now: datetime) -> EnvironmentDigest:
    ended = [run for run in runs if run.is_over]
    costs = store.list_applied_costs(environment.key, limit=MAX_COSTS).items
    newest = costs[0].cost if costs else None
    review = store.get_review(environment.key)
    return EnvironmentDigest(
        environment,
        sum(run.verb == "deploy" and run.status in {"succeeded", *FAILED_STATUSES} for run in ended),
        sum(run.status in FAILED_STATUSES for run in ended),
        sum(run.verb == "rollback" and run.status == "succeeded" for run in ended),
        forecast_month(to_points(costs), newest.budgets if newest else (), now) if costs else None,
        review.section("Dates") if review else (),
    )


def format_text(digest: Digest, page_url: str = "") -> str:
    """Return the digest as plain text: a headline, one line an environment, and its dates."""
    lines = [f"Weekly digest, {digest.since:%Y-%m-%d} to {digest.last_day:%Y-%m-%d}: {describe_runs(digest)}"]
    for item in digest.environments[:MAX_LISTED_ENVIRONMENTS]:
        lines += [f"• {item.environment.key}: {'; '.join(_describe(item))}", *(f"    {date}" for date in item.dates)]
    omitted = len(digest.environments) - MAX_LISTED_ENVIRONMENTS
    if omitted > 0:
        lines.append(f"and {format_count(omitted, 'more environment')}")
    return "\n".join([*lines, page_url]) if page_url else "\n".join(lines)


def describe_runs(item: Digest | EnvironmentDigest) -> str:
    """Return the number of deploys, and of failures and rollbacks if there were any."""
    counts = [(item.deploys, "deploy"), (item.failures, "failed run")]
    counts.append((item.rollbacks, "rollback"))
    shown = [format_count(count, noun) for count, noun in counts if count]
    return ", ".join(shown) if item.deploys else ", ".join(["no deploys", *shown])


def _describe(item: EnvironmentDigest) -> Iterator[str]:
    """Yield the runs, the current release, the drift and the cost of one environment."""
    environment = item.environment
    yield describe_runs(item)
    if environment.release is not None:
        yield f"release {environment.release.release.number} is current"
    yield describe_drift(environment)
    if item.forecast is not None:
        yield f"{item.forecast.so_far.total:.2f} USD this month, forecast {item.forecast.total:.2f} USD" + "".join(
            f" ({budget.fraction:.0%} of the budget of {budget.budget.limit:g} USD)"
            for budget in item.forecast.budgets[:1]
        )


def describe_drift(environment: Environment) -> str:
    """Return what the newest drift check found."""
    report = environment.drift
    if report is None:
        return "drift not checked"
    counts = [(report.drifted, "drifted"), (report.unhealthy, "unhealthy"), (report.pending, "pending")]
    parts = [f"{format_count(count, 'resource')} {state}" for count, state in counts if count]
    return ", ".join(parts) or "no drift"
