"""Check what AWS allows this account to create, by reading only: plan, service-linked roles, databases, quotas."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Final

from orchestrator.aws import AwsError, Clients, Reader
from orchestrator.bootstrap.runtime_permissions import SERVICE_LINKED_ROLE_PRINCIPALS
from orchestrator.doctor import Finding, findings_from_problems, not_checked_finding
from orchestrator.planning import account_refusals, pipeline
from orchestrator.planning.account_refusals import GLOBAL_REGION, Refusal
from orchestrator.problems import Problems
from orchestrator.vocabulary import Action, DesiredState, Plan, Resource

LINKED_ROLE_NAMES: Final = {
    "apprunner.amazonaws.com": "AWSServiceRoleForAppRunner",
    "ecs.amazonaws.com": "AWSServiceRoleForECS",
    "ecs.application-autoscaling.amazonaws.com": "AWSServiceRoleForApplicationAutoScaling_ECSService",
    "elasticloadbalancing.amazonaws.com": "AWSServiceRoleForElasticLoadBalancing",
    "networking.apprunner.amazonaws.com": "AWSServiceRoleForAppRunnerNetworking",
    "rds.amazonaws.com": "AWSServiceRoleForRDS",
}
"""The service-linked role of each AWS service that the product uses.  Source: their user guides."""


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
        account_plan = account_refusals.read_account_plan(Reader(clients))
    except AwsError as error:
        yield _denied_finding("account", error, "whether the account is on the Free plan")
        return
    if account_plan.kind != "FREE":
        described = "is on the Paid plan" if account_plan.kind else "has no Free plan"
        yield Finding("account", "ok", f"the account {described}")
        return
    end = account_plan.ends_at
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
        yield Finding(
            "account", "ok", message, "upgrade to the Paid plan in the Billing console before AWS closes the account"
        )
    databases = _list_resources(desired, "rds_instance")
    yield from _to_findings("account", account_refusals.check_backups(databases, account_plan), databases)


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
        count = f"{len(principals)} exist" if principals else "no service-linked role is needed"
        yield Finding("linked roles", "ok", count)


def check_databases(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    """Check that RDS offers the class, version and storage of each database in this region."""
    reader = Reader(clients)
    for resource in _list_resources(desired, "rds_instance"):
        try:
            offer = account_refusals.read_offer(resource, desired.scope.region, reader)
        except AwsError as error:
            yield _denied_finding("database", error, f"whether RDS offers {resource.spec['instance_class']}")
            return
        if offer.is_offered:
            yield Finding("database", "ok", f"RDS offers {offer.described}")
        else:
            yield from _to_findings("database", [account_refusals.refuse_offer(resource, offer)], [resource])


def check_quotas(desired: DesiredState, plan: Plan, clients: Clients) -> Iterator[Finding]:
    """Check that what the plan creates fits into the account's quotas."""
    created = {change.address for change in plan.pending_changes if change.action is Action.CREATE}
    reader = Reader(clients)
    for quota in account_refusals.QUOTAS:
        resources = [item for item in _list_resources(desired, quota.resource_type) if item.address in created]
        if not resources:
            continue
        try:
            use = account_refusals.measure_quota(quota, resources, reader)
        except AwsError as error:
            yield _denied_finding("quotas", error, f"the quota of {quota.name}")
            continue
        if use.is_exceeded:
            yield Finding("quotas", "missing", str(use), use.remedy, resources[0].where)
        else:
            yield Finding("quotas", "ok", str(use))


def check_planned_quotas(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    """Plan, and check the quotas of what the plan creates."""
    try:
        plan = pipeline.plan(desired, clients=clients).plan
    except Problems as error:
        yield from findings_from_problems("quotas", error)
        return
    findings = list(check_quotas(desired, plan, clients))
    yield from findings or [Finding("quotas", "ok", "the plan creates nothing that counts against a quota")]


def _list_resources(desired: DesiredState, resource_type: str) -> list[Resource]:
    return [resource for resource in desired.resources if resource.type == resource_type]


def _to_findings(check: str, refusals: Iterable[Refusal], resources: Iterable[Resource]) -> Iterator[Finding]:
    places = {resource.address: resource.where for resource in resources}
    for item in refusals:
        yield Finding(check, "missing", item.message, item.remedy, places[item.address])


def _denied_finding(check: str, error: AwsError, question: str) -> Finding:
    """Return a finding for a question that a failed read leaves open."""
    return not_checked_finding(
        check, f"cannot determine {question}: {error}", f"grant {error.iam_actions} to your own credentials"
    )
