"""Check what AWS allows this account to create, by reading only: plan, service-linked roles, databases, quotas."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, Final

from msgspec import Struct

from orchestrator.aws import AwsError, Clients
from orchestrator.bootstrap.runtime_permissions import SERVICE_LINKED_ROLE_PRINCIPALS
from orchestrator.doctor import Finding, findings_from_problems, not_checked_finding
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.vocabulary import Action, DesiredState, Plan, Resource

GLOBAL_REGION: Final = "us-east-1"
MAX_FREE_PLAN_BACKUP_DAYS: Final = 1
"""Days for which RDS keeps backups on AWS's Free plan."""
LINKED_ROLE_NAMES: Final = {
    "apprunner.amazonaws.com": "AWSServiceRoleForAppRunner",
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "ecs.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_ECSService",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "networking.apprunner.amazonaws.com": "AWSServiceRoleForAppRunnerNetworking",
    "rds.amazonaws.com": "AWSServiceRoleForRDS",
}
"""The service-linked role of each AWS service that the product uses.  Source: their user guides."""
_NO_QUOTA_CODES: Final = ("NoSuchResourceException",)


class _Quota(Struct, frozen=True):
    """One quota of Service Quotas; ``resource_type`` is what counts against it."""

    name: str
    service: str
    code: str
    resource_type: str
    region: str | None = None


_QUOTAS: Final = (
    _Quota("DB instances", "rds", "L-7B6409FD", "rds_instance"),
    _Quota("CloudFront distributions", "cloudfront", "L-24B04930", "cloudfront_distribution", GLOBAL_REGION),
    _Quota("application load balancers", "elasticloadbalancing", "L-53DA6B97", "ecs_express_service"),
    _Quota("Fargate vCPUs", "fargate", "L-3032A538", "ecs_express_service"),
)


def check_plan(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    """Check AWS's Free plan, which closes accounts and limits backups, and who decides about budgets."""
    yield from _check_free_plan(desired, clients)
    if not any(resource.type == "budgets_budget" for resource in desired.resources):
        return
    try:
        organization = clients.call("organizations", "describe_organization", {}, GLOBAL_REGION)["Organization"]
    except AwsError as error:
        if error.code != "AWSOrganizationsNotInUseException":
            yield _denied_finding("account", error, "whether an organisation controls budgets")
        return
    if organization["MasterAccountId"] != desired.scope.account:
        message = "the account belongs to an organisation, and its management account may not have enabled budgets"
        yield not_checked_finding(
            "account",
            message,
            f"ask the owner of account {organization['MasterAccountId']} to enable budgets, or remove the Budget",
        )


def _check_free_plan(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    try:
        state = clients.call("freetier", "get_account_plan_state", {}, GLOBAL_REGION)
    except AwsError as error:
        if error.code == "ResourceNotFoundException":
            yield Finding("account", "ok", "the account has no Free plan")
        else:
            yield _denied_finding("account", error, "whether the account is on the Free plan")
        return
    if state.get("accountPlanType") != "FREE":
        yield Finding("account", "ok", "the account is on the Paid plan")
        return
    end = state.get("accountPlanExpirationDate")
    closing = f"on {end:%Y-%m-%d} or when its credits are used up" if end else "when its credits are used up"
    message = f"the account is on the Free plan: AWS closes it {closing}"
    retained = [
        component.handle for component in desired.components if component.spec.get("deletionPolicy") == "retain"
    ]
    if retained:
        yield Finding(
            "account",
            "missing",
            f"{message}, with all data, although {', '.join(sorted(retained))} must be retained",
            "upgrade to the Paid plan in the Billing console; credits that are left remain valid",
        )
    else:
        yield Finding("account", "ok", message, "upgrade to the Paid plan in the Billing console before its end")
    for resource in _list_resources(desired, "rds_instance"):
        days = resource.spec.get("backup_retention_days")
        if isinstance(days, int) and days > MAX_FREE_PLAN_BACKUP_DAYS:
            message = f"the Free plan keeps database backups for 1 day, but {resource.component} requires {days}"
            fix = "set `backups.retentionDays: 1` in the Database, or upgrade the account to the Paid plan"
            yield Finding("account", "missing", message, fix, resource.where)


def check_linked_roles(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    """Check the service-linked roles: AWS creates them at the first use, and they are usable only minutes later."""
    types = {resource.type for resource in desired.resources}
    principals = sorted(
        {name for item, names in SERVICE_LINKED_ROLE_PRINCIPALS.items() if item in types for name in names}
    )
    missing: list[str] = []
    for principal in principals:
        try:
            clients.call("iam", "get_role", {"RoleName": LINKED_ROLE_NAMES[principal]})
        except AwsError as error:
            if error.code != "NoSuchEntity":
                yield _denied_finding("linked roles", error, f"whether {principal} has its role")
                return
            missing.append(principal)
    for principal in missing:
        message = f"{LINKED_ROLE_NAMES[principal]} does not exist; the first apply creates it and waits until it works"
        fix = f"to avoid the wait, run `aws iam create-service-linked-role --aws-service-name {principal}`"
        yield Finding("linked roles", "ok", message, fix)
    if not missing:
        count = f"{len(principals)} exist" if principals else "none is needed"
        yield Finding("linked roles", "ok", count)


def check_databases(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    """Check that RDS offers the class, version and storage of each database in this region."""
    for resource in _list_resources(desired, "rds_instance"):
        spec: Any = resource.spec
        request = {"Engine": spec["engine"], "DBInstanceClass": spec["instance_class"], "Vpc": True}
        try:
            pages = clients.pages("rds", "describe_orderable_db_instance_options", request)
        except AwsError as error:
            yield _denied_finding("database", error, f"whether RDS offers {spec['instance_class']}")
            return
        options = [option for page in pages for option in page["OrderableDBInstanceOptions"]]
        described = f"{spec['engine']} {spec['version']} on {spec['instance_class']} with {spec['storage_type']}"
        if any(_is_offered(option, spec) for option in options):
            yield Finding("database", "ok", f"RDS offers {described} in {desired.scope.region}")
            continue
        offered = sorted({f"{option['EngineVersion']} with {option['StorageType']}" for option in options})
        alternatives = f"offered: {', '.join(offered[:6])}" if offered else "the class is not offered at all"
        fix = f"choose another class, version or storage in {resource.component} ({alternatives})"
        yield Finding(
            "database", "missing", f"RDS does not offer {described} in {desired.scope.region}", fix, resource.where
        )


def check_quotas(desired: DesiredState, plan: Plan, clients: Clients) -> Iterator[Finding]:
    """Check that what the plan creates fits into the account's quotas."""
    created = {change.address for change in plan.pending_changes if change.action is Action.CREATE}
    for quota in _QUOTAS:
        resources = [item for item in _list_resources(desired, quota.resource_type) if item.address in created]
        if not resources:
            continue
        try:
            limit = _read_quota(quota, clients)
            used, needed = _measure_use(quota, resources, clients)
        except AwsError as error:
            yield _denied_finding("quotas", error, f"the quota of {quota.name}")
            continue
        described = f"{quota.name}: {limit:g} allowed, {used:g} in use, {needed:g} more needed"
        if used + needed <= limit:
            yield Finding("quotas", "ok", described)
        else:
            fix = (
                f"aws service-quotas request-service-quota-increase --service-code {quota.service} "
                f"--quota-code {quota.code} --desired-value {used + needed:g}"
                f"{f' --region {quota.region}' if quota.region else ''}"
            )
            yield Finding("quotas", "missing", described, fix, resources[0].where)


def check_planned_quotas(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    """Plan, and check the quotas of what the plan creates."""
    try:
        plan = pipeline.plan(desired, clients=clients).plan
    except Problems as error:
        yield from findings_from_problems("quotas", error)
        return
    findings = list(check_quotas(desired, plan, clients))
    yield from findings or [Finding("quotas", "ok", "the plan creates nothing that counts against a quota")]


def _is_offered(option: Any, spec: Any) -> bool:
    version = str(option["EngineVersion"])
    is_version = version == spec["version"] or version.startswith(f"{spec['version']}.")
    return is_version and option["StorageType"] == spec["storage_type"]


def _read_quota(quota: _Quota, clients: Clients) -> float:
    """Return the applied value of a quota, or AWS's default if it was never changed.  Raises AwsError."""
    request = {"ServiceCode": quota.service, "QuotaCode": quota.code}
    try:
        response = clients.call("service-quotas", "get_service_quota", request, quota.region)
    except AwsError as error:
        if error.code not in _NO_QUOTA_CODES:
            raise
        response = clients.call("service-quotas", "get_aws_default_service_quota", request, quota.region)
    return float(response["Quota"]["Value"])


def _measure_use(quota: _Quota, resources: list[Resource], clients: Clients) -> tuple[float, float]:
    """Return how much of a quota is in use, and how much creating the resources adds.  Raises AwsError."""
    needed = float(len(resources))
    match quota.service:
        case "rds":
            return float(_count(clients, "rds", "describe_db_instances", "DBInstances")), needed
        case "cloudfront":
            pages = clients.pages("cloudfront", "list_distributions", {})
            return float(sum(len(page["DistributionList"].get("Items") or ()) for page in pages)), needed
        case "elasticloadbalancing":  # up to 25 services of a network share one
            return float(_count(clients, "elbv2", "describe_load_balancers", "LoadBalancers")), 1.0
    specs: list[Any] = [resource.spec for resource in resources]
    # A deployment runs old and new tasks side by side.
    return 0.0, sum(2 * spec["scaling"]["max"] * spec["cpu"] / 1024 for spec in specs)


def _count(clients: Clients, service: str, operation: str, member: str) -> int:
    return sum(len(page[member]) for page in clients.pages(service, operation, {}))


def _list_resources(desired: DesiredState, resource_type: str) -> list[Resource]:
    return [resource for resource in desired.resources if resource.type == resource_type]


def _denied_finding(check: str, error: AwsError, question: str) -> Finding:
    """Return a finding for a question that a failed read leaves open."""
    return not_checked_finding(
        check, f"cannot determine {question}: {error}", f"grant {error.iam_actions} to your own credentials"
    )
