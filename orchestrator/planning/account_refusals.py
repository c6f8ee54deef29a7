"""Find what AWS would refuse to this account, before the first write: by reads, and only for what a plan changes.

API: Free Tier GetAccountPlanState; RDS DescribeOrderableDBInstanceOptions; Service Quotas GetServiceQuota.  What no
read tells (an unverified account, load balancers, App Runner's closure) is in ``aws/error_catalogue.py``.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from functools import partial
from typing import Any, Final

from msgspec import Struct
from msgspec.structs import replace

from orchestrator import interruption
from orchestrator.aws.errors import AwsError
from orchestrator.planning.plan import PreparedPlan
from orchestrator.resources import AwsReader
from orchestrator.vocabulary import Action, Change, Plan, Resource, Veto

GLOBAL_REGION: Final = "us-east-1"
MAX_FREE_PLAN_BACKUP_DAYS: Final = 1
"""Days for which RDS keeps backups on AWS's Free plan (error FreeTierRestrictionError)."""
MAX_LISTED_OPTIONS: Final = 6
_NO_QUOTA_CODES: Final = ("NoSuchResourceException",)
_CREATING_ACTIONS: Final = frozenset({Action.CREATE, Action.REPLACE})
_ORDERED_FIELDS: Final = frozenset({"instance_class", "version", "storage_type"})


class Quota(Struct, frozen=True):
    """One quota of Service Quotas.

    ``resource_type``: what counts against it.  ``is_certain``: AWS refuses to create more; otherwise the quota limits
    later growth only, or what is in use can have room left.
    """

    name: str
    service: str
    code: str
    resource_type: str
    region: str | None = None
    is_certain: bool = True


QUOTAS: Final = (
    Quota("DB instances", "rds", "L-7B6409FD", "rds_instance"),
    Quota("CloudFront distributions", "cloudfront", "L-24B04930", "cloudfront_distribution", GLOBAL_REGION),
    Quota("application load balancers", "elasticloadbalancing", "L-53DA6B97", "ecs_express_service", is_certain=False),
    Quota("Fargate vCPUs", "fargate", "L-3032A538", "ecs_express_service", is_certain=False),
)


class QuotaUse(Struct, frozen=True):
    """How much of a quota is allowed, in use, and needed by what is created."""

    quota: Quota
    limit: float
    used: float
    needed: float

    @property
    def is_exceeded(self) -> bool:
        return self.used + self.needed > self.limit

    def __str__(self) -> str:
        return f"{self.quota.name}: {self.limit:g} allowed, {self.used:g} in use, {self.needed:g} more needed"

    @property
    def remedy(self) -> str:
        """The command that requests a larger quota."""
        return (
            f"aws service-quotas request-service-quota-increase --service-code {self.quota.service} "
            f"--quota-code {self.quota.code} --desired-value {self.used + self.needed:g}"
            f"{f' --region {self.quota.region}' if self.quota.region else ''}"
        )


class DatabaseOffer(Struct, frozen=True):
    """Whether RDS offers a class with a version and storage in the region; ``alternatives`` that it offers, as text."""

    described: str
    is_offered: bool
    alternatives: str


class AccountPlan(Struct, frozen=True):
    """AWS's plan of the account: ``FREE``, ``PAID``, or "" for accounts older than these plans."""

    kind: str
    ends_at: datetime | None = None


class Refusal(Struct, frozen=True):
    """What AWS would refuse of a resource, and what to do; only a warning unless ``is_certain``."""

    address: str
    message: str
    remedy: str
    is_certain: bool = True


def add_vetoes(prepared: PreparedPlan, aws: AwsReader, allow: str) -> PreparedPlan:
    """Return the plan with a veto on each change that AWS would refuse, and notes on what could not be determined.

    ``allow``, the plan's own token, lifts these vetoes: AWS may have changed its mind.
    """
    plan = prepared.plan
    refusals: list[Refusal] = []
    notes: list[str] = []
    for answer in _ask_all(list(_list_questions(plan, prepared, aws))):
        if isinstance(answer, AwsError):
            notes.append(f"The limits of the account were not checked completely: {answer.iam_actions} failed.")
        else:
            refusals += answer
    has_token = bool(allow) and allow == plan.token
    vetoes = [] if has_token else [item for item in refusals if item.is_certain]
    notes += [f"{item.message}. To avoid that, {item.remedy}." for item in refusals if not item.is_certain]
    changes = tuple(
        replace(change, vetoes=(*change.vetoes, *_to_vetoes(change.address, vetoes))) for change in plan.changes
    )
    plan = replace(plan, changes=changes, notes=(*plan.notes, *dict.fromkeys(notes)))
    return replace(prepared, plan=plan)


def _to_vetoes(address: str, refusals: Iterable[Refusal]) -> Iterator[Veto]:
    for item in refusals:
        if item.address == address:
            sentence = f"{item.message}. To resolve this, {item.remedy}."
            yield Veto("AccountLimit", sentence, token_lifts=True)


Question = Callable[[], list[Refusal]]


def _list_questions(plan: Plan, prepared: PreparedPlan, aws: AwsReader) -> Iterator[Question]:
    """Yield the questions that the changes of a plan raise; none if it creates nothing of these kinds."""
    changes = {change.address: change for change in plan.pending_changes}
    tasks = {address: prepared.tasks[address].resource for address in changes}
    declared = {address: resource for address, resource in tasks.items() if resource is not None}
    created = [resource for address, resource in declared.items() if changes[address].action in _CREATING_ACTIONS]
    databases = [item for item in declared.values() if item.type == "rds_instance" and _is_new(item)]
    longer = [item for item in databases if _changes(changes[item.address], {"backup_retention_days"})]
    if any(_keeps_more_than_free(item) for item in longer):
        yield partial(_check_backups, longer, aws)
    for database in databases:
        if _changes(changes[database.address], _ORDERED_FIELDS):
            yield partial(_check_offer, database, plan.region, aws)
    for quota in QUOTAS:
        counted = [item for item in created if item.type == quota.resource_type and _is_new(item)]
        if counted:
            yield partial(_check_quota, quota, counted, aws)
    services = [item for item in created if item.type == "apprunner_service"]
    if services:
        yield partial(check_app_runner, services, aws)


def _is_new(resource: Resource) -> bool:
    """Return whether RDS makes the resource by CreateDBInstance: a restored one has the settings of its backup."""
    return not resource.spec.get("restored_from")


def _changes(change: Change, fields: Iterable[str]) -> bool:
    return change.action in _CREATING_ACTIONS or bool({str(field.path[0]) for field in change.fields} & {*fields})


def _ask_all(questions: Sequence[Question]) -> Iterator[list[Refusal] | AwsError]:
    """Ask all questions at once: each takes one to three calls."""
    if not questions:
        return
    with interruption.start_pool(len(questions), "account") as pool:
        for future in [pool.submit(question) for question in questions]:
            try:
                yield future.result()
            except AwsError as error:
                yield error


def read_account_plan(aws: AwsReader) -> AccountPlan:
    """Return AWS's plan of the account.  Raises AwsError."""
    state = aws.get("freetier", "get_account_plan_state", region=GLOBAL_REGION, missing=("ResourceNotFoundException",))
    if state is None:
        return AccountPlan("")
    return AccountPlan(str(state.get("accountPlanType", "")), state.get("accountPlanExpirationDate"))


def check_backups(databases: Iterable[Resource], account_plan: AccountPlan) -> Iterator[Refusal]:
    """Yield the databases whose backups the Free plan does not include."""
    for resource in databases:
        if account_plan.kind == "FREE" and _keeps_more_than_free(resource):
            days = resource.spec.get("backup_retention_days")
            yield Refusal(
                resource.address,
                f"the Free plan keeps database backups for 1 day, but {resource.component} requires {days}",
                "set `backups.retentionDays: 1` in the Database, or upgrade the account to the Paid plan",
            )


def _keeps_more_than_free(resource: Resource) -> bool:
    days = resource.spec.get("backup_retention_days")
    return isinstance(days, int) and days > MAX_FREE_PLAN_BACKUP_DAYS


def _check_backups(databases: Sequence[Resource], aws: AwsReader) -> list[Refusal]:
    return list(check_backups(databases, read_account_plan(aws)))


def check_app_runner(services: Iterable[Resource], aws: AwsReader) -> list[Refusal]:
    """Return warnings if App Runner may be closed to the account: only creating something would tell for sure.

    Raises AwsError.
    """
    if aws.all("apprunner", "list_services", "ServiceSummaryList"):
        return []
    return [
        Refusal(
            service.address,
            "AWS closed App Runner to new customers on 2026-04-30, and this account has no service there, so AWS may "
            f"reject {service.address}",
            f"set `runtime: ecs-express` in {service.component}",
            is_certain=False,
        )
        for service in services
    ]


def read_offer(database: Resource, region: str, aws: AwsReader) -> DatabaseOffer:
    """Return whether RDS offers what a database asks for.  Raises AwsError."""
    spec: Mapping[str, Any] = database.spec
    options = aws.all(
        "rds",
        "describe_orderable_db_instance_options",
        "OrderableDBInstanceOptions",
        Engine=spec["engine"],
        DBInstanceClass=spec["instance_class"],
        Vpc=True,
    )
    described = f"{spec['engine']} {spec['version']} on {spec['instance_class']} with {spec['storage_type']}"
    listed = sorted({f"{option['EngineVersion']} with {option['StorageType']}" for option in options})
    text = (
        f"offered: {', '.join(listed[:MAX_LISTED_OPTIONS])}"
        if listed
        else "RDS does not offer this class with any version or storage"
    )
    return DatabaseOffer(f"{described} in {region}", any(_is_offered(option, spec) for option in options), text)


def _is_offered(option: Mapping[str, Any], spec: Mapping[str, Any]) -> bool:
    version = str(option["EngineVersion"])
    is_version = version == spec["version"] or version.startswith(f"{spec['version']}.")
    return is_version and option["StorageType"] == spec["storage_type"]


def _check_offer(database: Resource, region: str, aws: AwsReader) -> list[Refusal]:
    offer = read_offer(database, region, aws)
    return [] if offer.is_offered else [refuse_offer(database, offer)]


def refuse_offer(database: Resource, offer: DatabaseOffer) -> Refusal:
    """Return what is wrong with a database that RDS does not offer."""
    remedy = f"choose another class, version or storage in {database.component} ({offer.alternatives})"
    return Refusal(database.address, f"RDS does not offer {offer.described}", remedy)


def measure_quota(quota: Quota, resources: Sequence[Resource], aws: AwsReader) -> QuotaUse:
    """Return how much of a quota is in use, and how much creating the resources adds.  Raises AwsError."""
    used, needed = _measure_use(quota, resources, aws)
    return QuotaUse(quota, _read_limit(quota, aws), used, needed)


def _check_quota(quota: Quota, resources: Sequence[Resource], aws: AwsReader) -> list[Refusal]:
    use = measure_quota(quota, resources, aws)
    if not use.is_exceeded:
        return []
    message = f"a quota of the account is too small: {use}"
    return [Refusal(resources[0].address, message, f"run `{use.remedy}`", quota.is_certain)]


def _read_limit(quota: Quota, aws: AwsReader) -> float:
    """Return the applied value of a quota, or AWS's default if it was never changed.  Raises AwsError."""
    request: dict[str, Any] = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    response = aws.get("service-quotas", "get_service_quota", region=quota.region, missing=_NO_QUOTA_CODES, **request)
    if response is None:
        response = aws.get("service-quotas", "get_aws_default_service_quota", region=quota.region, **request)
    return float(response["Quota"]["Value"])


def _measure_use(quota: Quota, resources: Sequence[Resource], aws: AwsReader) -> tuple[float, float]:
    needed = float(len(resources))
    match quota.service:
        case "rds":
            return float(len(aws.all("rds", "describe_db_instances", "DBInstances"))), needed
        case "cloudfront":
            return float(len(aws.all("cloudfront", "list_distributions", "DistributionList.Items"))), needed
        case "elasticloadbalancing":  # up to 25 services of a network share one
            return float(len(aws.all("elbv2", "describe_load_balancers", "LoadBalancers"))), 1.0
    specs: list[Any] = [resource.spec for resource in resources]
    # A deployment runs old and new tasks side by side.
    return 0.0, sum(2 * spec["scaling"]["max"] * spec["cpu"] / 1024 for spec in specs)
