"""What AWS has: who we are there, the roles of the workflows, what a plan may read, the bucket for releases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.aws import AwsError, Clients, Reader
from orchestrator.bootstrap import workflow_roles
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.doctor import Finding, FindingState, findings_from_problems, not_checked_finding
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline, snapshot
from orchestrator.problems import Problems
from orchestrator.release import checkout
from orchestrator.vocabulary import Action, Change, DesiredState, Unread


def check_identity(manifest: Manifest, clients: Clients) -> Iterator[Finding]:
    """Credentials work, and are of the account and region that the Project names."""
    scope, where = manifest.scope, manifest.project.where
    try:
        region = clients.configured_region()
        clients.check_reachable("sts", "get_caller_identity")
        caller = clients.call("sts", "get_caller_identity", {})
    except AwsError as error:
        yield from findings_from_problems("aws", snapshot.connection_problem(error))
        return
    if caller["Account"] != scope.account:
        message = f"these credentials are of account {caller['Account']}, and the Project is in {scope.account}"
        fix = f"log in to {scope.account} (AWS_PROFILE), or correct `account` in the Project"
        yield Finding("aws", "missing", message, fix, where)
    if region not in (None, scope.region):
        message = f"the surroundings say {region}, and the Project is in {scope.region}"
        yield Finding("aws", "missing", message, f"export AWS_REGION={scope.region}", where)
    elif caller["Account"] == scope.account:
        yield Finding("aws", "ok", f"{caller['Arn']} in {scope.region}")


def check_roles(desired: DesiredState, clients: Clients, repository: Repository | None, fix: str) -> list[Finding]:
    """The gate's plan: what ``bootstrap github`` would still do; without ``repository`` trust is not compared."""
    try:
        plan = pipeline.plan(
            workflow_roles.expand(desired, repository or Repository("?/?", 0, 0)), clients=clients
        ).plan
    except Problems as error:
        return findings_from_problems("roles", error)
    pending = [change for change in plan.pending_changes if repository or not _changes_only_trust(change)]
    findings = [Finding("roles", "missing", _describe_change(change), fix) for change in pending]
    findings += [*_unread_findings("roles", plan.unread, "ask somebody who may administer the account to run this")]
    if repository is None:
        findings.append(
            not_checked_finding(
                "roles", "whether the roles trust this repository: GitHub could not be asked for its id"
            )
        )
    return findings or [Finding("roles", "ok", "provider, roles, trust and policies are as the manifests need them")]


def check_permissions(desired: DesiredState, clients: Clients, fix: str) -> list[Finding]:
    """What a plan reads, read."""
    try:
        snapshot_result = snapshot.take(Reader(clients), desired)
    except Problems as error:
        return findings_from_problems("permissions", error)
    unread_findings = list(_unread_findings("permissions", snapshot_result.unread.values(), fix, state="missing"))
    return unread_findings or [Finding("permissions", "ok", f"{len(desired.resources)} resources can be read")]


def check_app_runner_availability(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    """Whether App Runner, where it is asked for, may be closed to the account: only a creation tells for sure."""
    service = next((resource for resource in desired.resources if resource.type == "apprunner_service"), None)
    if service is None:
        return
    try:
        pages = clients.pages("apprunner", "list_services", {})
    except AwsError:
        return  # `permissions` says so
    if not any(page["ServiceSummaryList"] for page in pages):
        message = (
            f"whether the account may create {service.address}: it has no App Runner service, and AWS closed that on "
            "2026-04-30 to accounts that had not used it before"
        )
        fix = f"if AWS refuses it, say `runtime: ecs-express` in {service.component}"
        yield Finding("permissions", "not checked", message, fix, service.where)


def check_release_bucket(manifest: Manifest, clients: Clients) -> Iterator[Finding]:
    """The Project names a bucket; it and its ledger can be read, or it waits for the first deploy."""
    try:
        store = checkout.require_store(manifest, clients)
        if not store.exists():
            yield Finding("releases", "ok", f"s3://{store.bucket} is not there yet; the first deploy makes it")
            return
        count = len(store.read().releases)
        yield Finding("releases", "ok", f"s3://{store.bucket} holds {count} releases of {store.environment}")
    except Problems as error:
        yield from findings_from_problems("releases", error)


def _changes_only_trust(change: Change) -> bool:
    return change.action is Action.UPDATE and {field.path[0] for field in change.fields} <= {"trust"}


def _describe_change(change: Change) -> str:
    if change.action is Action.CREATE:
        return f"{change.address} ({change.physical}) is not there"
    fields = ", ".join(dict.fromkeys(str(field.path[0]) for field in change.fields))
    if change.action is Action.DELETE:
        return f"{change.address} ({change.physical}) is of no use any more"
    return f"{change.address} ({change.physical}) differs from what the manifests need: {fields}"


def _unread_findings(
    check: str, unread: Iterable[Unread], fix: str, state: FindingState = "not checked"
) -> Iterator[Finding]:
    """What could not be read, once for each action."""
    by_action: dict[str, list[Unread]] = {}
    for unread_resource in unread:
        by_action.setdefault(unread_resource.action or unread_resource.reason, []).append(unread_resource)
    for action, unread_by_action in by_action.items():
        count = "1 resource" if len(unread_by_action) == 1 else f"{len(unread_by_action)} resources"
        message = f"{action} fails for {count}, first {unread_by_action[0].address}: {unread_by_action[0].reason}"
        yield Finding(check, state, message, fix)
