"""Gather what a team looks at once a month: cost against the budget, leftovers, keys by age, drift, drills, dates.

Reads only.  API: RDS DescribeDBSnapshots, CloudWatch Logs DescribeLogGroups, IAM ListUsers, ListAccessKeys.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, date, datetime, timedelta
from typing import TYPE_CHECKING, Any

from msgspec import Struct

from orchestrator import cost
from orchestrator.artefacts.repository_paths import find_repository
from orchestrator.aws.errors import AwsError
from orchestrator.cost import advice, deadlines, project_prices
from orchestrator.cost.by_component import ComponentCost, sum_by_component
from orchestrator.cost.stack_cost import BudgetLimit, list_budgets
from orchestrator.cost.workflow_deadlines import list_workflow_deadlines
from orchestrator.planning import pipeline, planned_cost
from orchestrator.quantities import format_count
from orchestrator.render import drift
from orchestrator.runs import cost_explorer, due_drills, last_month_cost
from orchestrator.runs.settings import Settings
from orchestrator.vocabulary import Action

if TYPE_CHECKING:
    from orchestrator.aws import Reader
    from orchestrator.cost.billed_months import MonthSpend
    from orchestrator.cost.deadlines import Deadline
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.vocabulary import Scope

MAX_SNAPSHOT_AGE = timedelta(days=30)
"""Age from which a manual snapshot is a leftover: nothing deletes it, and its storage is billed."""
MAX_KEY_AGE = timedelta(days=90)
"""Age from which an access key should be replaced (IAM user guide, "Update access keys when needed")."""


class AccessKey(Struct, frozen=True):
    """An access key of an IAM user; ``is_old``: it should be replaced."""

    user: str
    key: str
    age_days: int
    is_old: bool


class Review(Struct, frozen=True):
    """Everything on the page.  ``not_checked`` says what could not be read, with the reason.

    ``last_month`` is what the state service recorded by component in USD; None without a record of it.
    """

    title: str
    on: date
    estimate: cost.Estimate
    components: tuple[ComponentCost, ...]
    last_month: Mapping[str, float] | None
    budgets: tuple[BudgetLimit, ...]
    months: tuple[MonthSpend, ...]
    leftovers: tuple[str, ...]
    keys: tuple[AccessKey, ...]
    drift: str
    due_drills: tuple[str, ...]
    dates: tuple[Deadline, ...]
    advice: tuple[str, ...]
    not_checked: tuple[str, ...]


def gather(settings: Settings, *, is_actual: bool = False, now: datetime | None = None) -> Review:
    """Return the review of the environment; ``is_actual`` asks Cost Explorer, which AWS bills.

    Raises Problems if the manifests are invalid, or AWS cannot be read at all.
    """
    from orchestrator.aws import Clients, Reader

    moment = now or datetime.now(UTC)
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients.for_scope(manifest.scope)
    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    planned = pipeline.plan(desired, clients=clients, preserves_power=True)
    resources = planned_cost.list_before(planned.tasks.values())
    estimate = cost.estimate(
        resources, planned.scope.region, project_prices.load(), on=moment.date(), usage=planned.usage
    )
    all_dates = [
        *deadlines.list_deadlines(resources),
        *list_workflow_deadlines(find_repository(settings.manifests.resolve())),
    ]
    title = f"{planned.plan.project}/{planned.plan.environment}"
    not_checked: list[str] = []
    reader = Reader(clients)
    account, region = manifest.scope.account, planned.scope.region
    spend = cost_explorer.read_spend(clients, account, moment) if is_actual else cost_explorer.read_cached(account)
    return Review(
        title=title,
        on=moment.date(),
        estimate=estimate,
        components=sum_by_component(estimate, {resource.address: resource.component for resource in resources}),
        last_month=last_month_cost.read_last_month(title, moment, not_checked),
        budgets=tuple(list_budgets(desired.resources)),
        months=spend.months if spend is not None else (),
        leftovers=(
            *_list_undeclared(planned),
            *_try(not_checked, "old snapshots", lambda: list(_list_snapshots(reader, manifest.scope, moment))),
            *_try(not_checked, "log groups", lambda: list(_list_log_groups(reader, manifest.scope, planned))),
        ),
        keys=tuple(_try(not_checked, "access keys", lambda: _list_keys(reader, moment))),
        drift=drift.build_view(planned.plan).headline,
        due_drills=due_drills.list_due(planned),
        dates=tuple(deadlines.select_due(all_dates, moment.date())),
        advice=tuple(advice.advise(resources, region, planned.live, prices=project_prices.load())),
        not_checked=tuple(not_checked),
    )


def _try(not_checked: list[str], subject: str, read: Callable[[], list[Any]]) -> list[Any]:
    """Return what ``read`` returns; what AWS refuses is noted instead of ending the review."""
    try:
        return read()
    except AwsError as error:
        not_checked.append(f"{subject}: {error}")
        return []


def _list_undeclared(planned: PreparedPlan) -> Iterator[str]:
    for change in planned.plan.changes:
        if change.action is Action.DELETE:
            fate = (
                "A veto protects it; `orchestrator plan` shows how to delete it"
                if change.vetoes
                else "The next apply deletes it"
            )
            yield f"{change.physical} ({change.address}) is in AWS but not in the manifests. {fate}."
    for address in planned.retained:
        yield f"{address} is in AWS but not in the manifests. It holds data, so it is not deleted automatically."


def _list_snapshots(reader: Reader, scope: Scope, now: datetime) -> Iterator[str]:
    snapshots = reader.all("rds", "describe_db_snapshots", "DBSnapshots", SnapshotType="manual")
    for snapshot in snapshots:
        instance = str(snapshot.get("DBInstanceIdentifier", ""))
        taken = snapshot.get("SnapshotCreateTime")
        if not instance.startswith(f"{scope.name_prefix}-") or taken is None or now - taken < MAX_SNAPSHOT_AGE:
            continue
        yield (
            f"Snapshot {snapshot['DBSnapshotIdentifier']} of {instance}, {snapshot.get('AllocatedStorage', '?')} GB, "
            f"is {format_count((now - taken).days, 'day')} old. It is not deleted automatically."
        )


def _list_log_groups(reader: Reader, scope: Scope, planned: PreparedPlan) -> Iterator[str]:
    """Yield the log groups of App Runner services that do not exist any more: they outlive their service."""
    prefix = f"/aws/apprunner/{scope.name_prefix}-"
    live_prefixes = tuple(
        f"/aws/apprunner/{task.resource.physical}/{task.live.outputs['id']}/"
        for address, task in planned.tasks.items()
        if address.startswith("apprunner_service.") and task.resource is not None and task.live is not None
    )
    for group in reader.all("logs", "describe_log_groups", "logGroups", logGroupNamePrefix=prefix):
        name = str(group["logGroupName"])
        if not name.startswith(live_prefixes):
            size = int(group.get("storedBytes", 0)) / 1e6
            yield f"Log group {name}, {size:.1f} MB, belongs to a service that no longer exists."


def _list_keys(reader: Reader, now: datetime) -> list[AccessKey]:
    """Return the active access keys of the account's users, the oldest first."""
    keys: list[AccessKey] = []
    for user in reader.all("iam", "list_users", "Users"):
        name = str(user["UserName"])
        for key in reader.all("iam", "list_access_keys", "AccessKeyMetadata", UserName=name):
            age: timedelta = now - key["CreateDate"]
            if key["Status"] == "Active":
                keys.append(AccessKey(name, f"...{str(key['AccessKeyId'])[-4:]}", age.days, age >= MAX_KEY_AGE))
    return sorted(keys, key=lambda key: (-key.age_days, key.user))
