"""Check AWS: the credentials, the roles of the workflows, the read permissions of a plan, and the release bucket."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.aws import AwsError, Clients, Reader
from orchestrator.bootstrap import trusted_repository, workflow_roles
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.doctor import Finding, FindingState, findings_from_problems, not_checked_finding
from orchestrator.manifest.check import Manifest
from orchestrator.planning import account_refusals, pipeline, snapshot
from orchestrator.problems import Problems
from orchestrator.quantities import format_count
from orchestrator.release import checkout
from orchestrator.vocabulary import Action, Change, DesiredState, Unread


def check_identity(manifest: Manifest, clients: Clients) -> Iterator[Finding]:
    """Check that the credentials work and belong to the Project's account and region."""
    scope, where = manifest.scope, manifest.project.where
    try:
        region = clients.configured_region()
        clients.check_reachable("sts", "get_caller_identity")
        caller = clients.call("sts", "get_caller_identity", {})
    except AwsError as error:
        yield from findings_from_problems("aws", snapshot.connection_problem(error))
        return
    if caller["Account"] != scope.account:
        message = f"the credentials belong to account {caller['Account']}, but the Project uses {scope.account}"
        fix = f"log in to {scope.account} (set AWS_PROFILE), or correct `account` in the Project"
        yield Finding("aws", "missing", message, fix, where)
    if region not in (None, scope.region):
        message = f"the configured region is {region}, but the Project uses {scope.region}"
        yield Finding("aws", "missing", message, f"export AWS_REGION={scope.region}", where)
    elif caller["Account"] == scope.account:
        yield Finding("aws", "ok", f"{caller['Arn']} in {scope.region}")


def check_roles(desired: DesiredState, clients: Clients, repository: Repository | None, fix: str) -> list[Finding]:
    """Plan ``bootstrap github`` and report each pending change.

    Without ``repository``, the ids that the roles trust are taken for its ids; all else of their trust is compared.
    """
    try:
        expected = repository or _read_trusted_repository(desired, clients)
        plan = pipeline.plan(workflow_roles.expand(desired, expected), clients=clients).plan
    except Problems as error:
        return findings_from_problems("roles", error)
    findings = [Finding("roles", "missing", _describe_change(change), fix) for change in plan.pending_changes]
    findings += [*_unread_findings("roles", plan.unread, "ask an account administrator to run `orchestrator doctor`")]
    if repository is None:
        findings.append(not_checked_finding("roles", _describe_trust(expected)))
    return findings or [
        Finding("roles", "ok", "OIDC provider, roles, trust policies and permissions match the manifests")
    ]


def check_permissions(desired: DesiredState, clients: Clients, fix: str) -> list[Finding]:
    """Read everything that a plan reads, and report what fails."""
    try:
        snapshot_result = snapshot.take(Reader(clients), desired)
    except Problems as error:
        return findings_from_problems("permissions", error)
    unread_findings = list(_unread_findings("permissions", snapshot_result.unread.values(), fix, state="missing"))
    return unread_findings or [
        Finding("permissions", "ok", f"{format_count(len(desired.resources), 'resource')} can be read")
    ]


def check_app_runner_availability(desired: DesiredState, clients: Clients) -> Iterator[Finding]:
    """Warn if App Runner may be closed to the account; only creating a service would tell for sure."""
    services = [resource for resource in desired.resources if resource.type == "apprunner_service"]
    if not services:
        return
    try:
        warnings = account_refusals.check_app_runner(services[:1], Reader(clients))
    except AwsError:
        return  # `check_permissions` reports it
    for item in warnings:
        yield Finding("permissions", "not checked", item.message, item.remedy, services[0].where)


def check_release_bucket(manifest: Manifest, clients: Clients) -> Iterator[Finding]:
    """Check that the Project names a release bucket and that its ledger can be read, if it exists."""
    try:
        store = checkout.require_store(manifest, clients)
        if not store.exists():
            yield Finding("releases", "ok", f"s3://{store.bucket} does not exist yet; the first deploy creates it")
            return
        count = len(store.read().releases)
        yield Finding(
            "releases", "ok", f"s3://{store.bucket} contains {format_count(count, 'release')} of {store.environment}"
        )
    except Problems as error:
        yield from findings_from_problems("releases", error)


def _read_trusted_repository(desired: DesiredState, clients: Clients) -> Repository:
    """Return the Project's repository with the ids and the branch that the live roles trust.  Raises Problems."""
    project = next(component for component in desired.components if component.kind == "Project")
    name = str(project.spec["repository"])
    live = pipeline.plan(workflow_roles.expand(desired, Repository(name, 0, 0)), clients=clients).live
    roles = [live[address] for address in ("iam_role.deploy", "iam_role.plan") if address in live]
    return trusted_repository.read(name, [role.spec["trust"] for role in roles])


def _describe_trust(trusted: Repository) -> str:
    """Return what of the roles' trust only GitHub can confirm."""
    if not trusted.id:
        return "cannot check whether the roles trust this repository: its GitHub id is unknown"
    job = f"branch {trusted.branch}" if trusted.has_environments else f"every job of branch {trusted.branch}"
    return (
        f"cannot check whether {trusted.name} has the id {trusted.id} and whether its default branch is "
        f"{trusted.branch}: the roles trust {job} of the repository with this id"
    )


def _describe_change(change: Change) -> str:
    if change.action is Action.CREATE:
        return f"{change.address} ({change.physical}) does not exist"
    fields = ", ".join(dict.fromkeys(str(field.path[0]) for field in change.fields))
    if change.action is Action.DELETE:
        return f"{change.address} ({change.physical}) is no longer needed"
    return f"{change.address} ({change.physical}) differs from what the manifests need: {fields}"


def _unread_findings(
    check: str, unread: Iterable[Unread], fix: str, state: FindingState = "not checked"
) -> Iterator[Finding]:
    """Yield one finding for each API action that failed."""
    by_action: dict[str, list[Unread]] = {}
    for unread_resource in unread:
        by_action.setdefault(unread_resource.action or unread_resource.reason, []).append(unread_resource)
    for action, resources in by_action.items():
        count = format_count(len(resources), "resource")
        message = f"{action} fails for {count}, e.g. {resources[0].address}: {resources[0].reason}"
        yield Finding(check, state, message, fix)
