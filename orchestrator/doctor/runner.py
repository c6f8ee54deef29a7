"""Run all checks in parallel, within one deadline."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from concurrent.futures import Future
from functools import partial

from orchestrator.aws import Clients
from orchestrator.doctor import (
    ACCOUNT_CHECKS,
    CHECKS,
    DoctorContext,
    Finding,
    account_readiness,
    aws_checks,
    findings_from_problems,
    github_checks,
    local_checks,
    not_checked_finding,
    role_simulation,
    state_service_checks,
)
from orchestrator.doctor.deadline import Deadline
from orchestrator.manifest.check import Manifest
from orchestrator.planning import pipeline
from orchestrator.problems import Problems
from orchestrator.vocabulary import DesiredState

FindingsFutures = dict[str, "Future[list[Finding]]"]

DEFAULT_TIMEOUT_SECONDS = 30.0
"""Deadline for all checks together."""


def run_checks(
    context: DoctorContext, timeout_seconds: float = DEFAULT_TIMEOUT_SECONDS, *, with_account: bool = False
) -> list[Finding]:
    """Run every check, ``with_account`` also those of the account, and return the findings in the order of CHECKS."""
    deadline = Deadline(timeout_seconds)
    context, findings = local_checks.check_manifests(context)
    futures: FindingsFutures = {
        "git": deadline.start(lambda: list(local_checks.check_git(context))),
        "workflows": deadline.start(lambda: list(local_checks.check_workflows(context))),
        "state": deadline.start(lambda: list(state_service_checks.check_state_service(context.environ))),
    }
    if context.manifest is not None:
        futures |= _start_remote_checks(context, context.manifest, deadline, with_account=with_account)
    names = [*CHECKS, *(ACCOUNT_CHECKS if with_account else ())]
    for name in names:
        if name in futures:
            findings += _await_findings(deadline, name, futures[name])
        elif name != "manifests":
            findings.append(not_checked_finding(name, "the manifests are not valid", "fix the manifests first"))
    return sorted(findings, key=lambda finding: names.index(finding.check))


def _start_remote_checks(
    context: DoctorContext, manifest: Manifest, deadline: Deadline, *, with_account: bool
) -> FindingsFutures:
    """Start the checks that need a valid manifest; most AWS checks run only if the check ``aws`` succeeds."""
    clients = context.make_clients(manifest.scope.region)
    identity_future = deadline.start(lambda: list(aws_checks.check_identity(manifest, clients)))
    github_future = deadline.start(lambda: github_checks.check_repository(context, manifest))
    desired_future = deadline.start(
        lambda: pipeline.load_desired(context.folder, context.environment, include_artefacts=False)
    )
    fix = context.command_for("bootstrap", "github")

    def start_after_identity(check: str, run_check: Callable[[], Iterable[Finding]]) -> Future[list[Finding]]:
        def run() -> list[Finding]:
            if any(finding.state != "ok" for finding in deadline.result(identity_future)):
                return [not_checked_finding(check, "the check `aws` did not succeed")]
            try:
                return list(run_check())
            except Problems as error:
                return findings_from_problems(check, error)

        return deadline.start(run)

    account_futures = {
        name: start_after_identity(name, partial(_run_account_check, run, desired_future, deadline, clients, fix))
        for name, run in (ACCOUNT_CHECK_FUNCTIONS.items() if with_account else ())
    }
    return {
        **account_futures,
        "aws": identity_future,
        "github": deadline.start(lambda: [*deadline.result(github_future).findings, *_check_called_workflows(context)]),
        "builder": deadline.start(lambda: list(local_checks.check_builder(context))),
        "releases": start_after_identity("releases", lambda: aws_checks.check_release_bucket(manifest, clients)),
        "permissions": start_after_identity(
            "permissions", lambda: _check_permissions(deadline.result(desired_future), clients, fix)
        ),
        "roles": start_after_identity(
            "roles",
            lambda: aws_checks.check_roles(
                deadline.result(desired_future), clients, deadline.result(github_future).repository, fix
            ),
        ),
    }


AccountCheck = Callable[[DesiredState, Clients, str], Iterable[Finding]]

ACCOUNT_CHECK_FUNCTIONS: Mapping[str, AccountCheck] = {
    "account": lambda desired, clients, _: account_readiness.check_plan(desired, clients),
    "linked roles": lambda desired, clients, _: account_readiness.check_linked_roles(desired, clients),
    "database": lambda desired, clients, _: account_readiness.check_databases(desired, clients),
    "quotas": lambda desired, clients, _: account_readiness.check_planned_quotas(desired, clients),
    "deploy role": role_simulation.check_deploy_role,
}
"""The check of each name in ACCOUNT_CHECKS: takes desired resources, clients and the command that sets up the roles."""


def _run_account_check(
    run: AccountCheck, desired_future: Future[DesiredState], deadline: Deadline, clients: Clients, fix: str
) -> Iterable[Finding]:
    return run(deadline.result(desired_future), clients, fix)


def _check_called_workflows(context: DoctorContext) -> list[Finding]:
    return github_checks.check_called_workflows(context, local_checks.find_repository_root(context))


def _check_permissions(desired: DesiredState, clients: Clients, fix: str) -> list[Finding]:
    return [
        *aws_checks.check_permissions(desired, clients, fix),
        *aws_checks.check_app_runner_availability(desired, clients),
    ]


def _await_findings(deadline: Deadline, name: str, future: Future[list[Finding]]) -> list[Finding]:
    try:
        return deadline.result(future)
    except TimeoutError:
        reason = f"no response within {deadline.timeout_seconds:g}s"
        return [not_checked_finding(name, reason, "check the network, or allow more time with `--timeout`")]
