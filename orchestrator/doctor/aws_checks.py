"""What AWS has: who we are there, the roles of the workflows, what a plan may read, the bucket for releases."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from orchestrator.aws import AwsError, Clients, Reader
from orchestrator.bootstrap import workflow_roles
from orchestrator.bootstrap.workflow_roles import Repository
from orchestrator.doctor import Finding, State, missing, unchecked
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline, snapshot
from orchestrator.problems import Problems
from orchestrator.release import checkout
from orchestrator.vocabulary import Action, Change, Desired, Unread


def identity(manifest: Manifest, clients: Clients) -> Iterator[Finding]:
    """Credentials work, and are of the account and region that the Project names."""
    scope, where = manifest.scope, manifest.project.where
    try:
        region = clients.configured_region()
        clients.reach("sts", "get_caller_identity")
        found = clients.call("sts", "get_caller_identity", {})
    except AwsError as error:
        yield from missing("aws", snapshot.hopeless(error))
        return
    if found["Account"] != scope.account:
        what = f"these credentials are of account {found['Account']}, and the Project is in {scope.account}"
        fix = f"log in to {scope.account} (AWS_PROFILE), or correct `account` in the Project"
        yield Finding("aws", "missing", what, fix, where)
    if region not in (None, scope.region):
        what = f"the surroundings say {region}, and the Project is in {scope.region}"
        yield Finding("aws", "missing", what, f"export AWS_REGION={scope.region}", where)
    elif found["Account"] == scope.account:
        yield Finding("aws", "ok", f"{found['Arn']} in {scope.region}")


def roles(desired: Desired, clients: Clients, repository: Repository | None, fix: str) -> list[Finding]:
    """The gate's plan: what ``bootstrap github`` would still do; without ``repository`` trust is not compared."""
    try:
        plan = pipeline.plan(
            workflow_roles.expand(desired, repository or Repository("?/?", 0, 0)), clients=clients
        ).plan
    except Problems as error:
        return missing("roles", error)
    pending = [change for change in plan.pending if repository or not _only_trust(change)]
    found = [Finding("roles", "missing", _words(change), fix) for change in pending]
    found += [*_refused("roles", plan.unread, "ask somebody who may administer the account to run this")]
    if repository is None:
        found.append(
            unchecked("roles", "whether the roles trust this repository: GitHub could not be asked for its id")
        )
    return found or [Finding("roles", "ok", "provider, roles, trust and policies are as the manifests need them")]


def permissions(desired: Desired, clients: Clients, fix: str) -> list[Finding]:
    """What a plan reads, read."""
    try:
        seen = snapshot.take(Reader(clients), desired)
    except Problems as error:
        return missing("permissions", error)
    refused = list(_refused("permissions", seen.unread.values(), fix, state="missing"))
    return refused or [Finding("permissions", "ok", f"{len(desired.resources)} resources can be read")]


def closed(desired: Desired, clients: Clients) -> Iterator[Finding]:
    """Whether App Runner, where it is asked for, may be closed to the account: only a creation tells for sure."""
    service = next((one for one in desired.resources if one.type == "apprunner_service"), None)
    if service is None:
        return
    try:
        pages = clients.pages("apprunner", "list_services", {})
    except AwsError:
        return  # `permissions` says so
    if not any(page["ServiceSummaryList"] for page in pages):
        what = (
            f"whether the account may create {service.address}: it has no App Runner service, and AWS closed that on "
            "2026-04-30 to accounts that had not used it before"
        )
        fix = f"if AWS refuses it, say `runtime: ecs-express` in {service.component}"
        yield Finding("permissions", "not checked", what, fix, service.where)


def releases(manifest: Manifest, clients: Clients) -> Iterator[Finding]:
    """The Project names a bucket; it and its ledger can be read, or it waits for the first deploy."""
    try:
        store = checkout.demand(manifest, clients)
        if not store.exists():
            yield Finding("releases", "ok", f"s3://{store.bucket} is not there yet; the first deploy makes it")
            return
        count = len(store.read().releases)
        yield Finding("releases", "ok", f"s3://{store.bucket} holds {count} releases of {store.environment}")
    except Problems as error:
        yield from missing("releases", error)


def _only_trust(change: Change) -> bool:
    return change.action is Action.UPDATE and {field.path[0] for field in change.fields} <= {"trust"}


def _words(change: Change) -> str:
    if change.action is Action.CREATE:
        return f"{change.address} ({change.physical}) is not there"
    fields = ", ".join(dict.fromkeys(str(field.path[0]) for field in change.fields))
    if change.action is Action.DELETE:
        return f"{change.address} ({change.physical}) is of no use any more"
    return f"{change.address} ({change.physical}) differs from what the manifests need: {fields}"


def _refused(check: str, unread: Iterable[Unread], fix: str, state: State = "not checked") -> Iterator[Finding]:
    """What could not be read, once for each action."""
    by_action: dict[str, list[Unread]] = {}
    for each in unread:
        by_action.setdefault(each.action or each.reason, []).append(each)
    for action, those in by_action.items():
        count = "1 resource" if len(those) == 1 else f"{len(those)} resources"
        what = f"{action} fails for {count}, first {those[0].address}: {those[0].reason}"
        yield Finding(check, state, what, fix)
