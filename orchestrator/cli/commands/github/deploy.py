"""``orchestrator github deploy``: what was reviewed, from the newest commit, and everybody is told how it ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.problems import ExitCode, Problems
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.approval import ApprovalPolicy
    from orchestrator.github.notifications import Notifier
    from orchestrator.github.reviewed_plan import ReviewedPlan
    from orchestrator.release import Ledger
    from orchestrator.runs.release import DeployRun, ReleaseSession
    from orchestrator.vocabulary import Plan

MAX_LOCK_WAIT_SECONDS = 1800.0
"""Seconds to wait for another run that writes."""


@cli_command("deploy", "orchestrator github deploy -e prod")
@click.option("--digest", default="", envvar="ORCHESTRATOR_DIGEST", help="A plan that a person agrees to by this run.")
@click.option("--allow", default="", envvar="ORCHESTRATOR_ALLOW", metavar="TOKEN", help="Lift the vetoes of one plan.")
@common_options
def command(settings: Settings, digest: str, allow: str) -> int:
    """Deploy the commit that is checked out, if its plan was reviewed as the Project's `approval` asks.

    Waits for its turn. Tells the run's page, GitHub's deployments, and on failure the merged pull request. Exits as
    `orchestrator deploy` does; 6 when the plan is not what was reviewed, and nothing was done.
    """
    from orchestrator.github.notifications import Notifier

    check_input(digest, r"([0-9a-f]{64})?", "the digest", "64 hexadecimal digits, as the plan ends with")
    check_input(allow, r"([0-9a-f]{8})?", "the token to allow", "8 hexadecimal digits, as a vetoed plan prints them")
    bulletin = Notifier.from_environment(settings.manifests, settings.environment)
    return notify_on_failure(bulletin, settings, lambda: deploy(settings, bulletin, digest, allow))


def deploy(
    settings: Settings, bulletin: Notifier, digest: str, allow: str, *, task: str = "deploy", is_approved: bool = False
) -> int:
    """Plan and carry out ``what``; ``agreed`` when a person started this very run by hand.

    GitHub hears of a deployment once there is something to deploy: the folder, the environment, a place for releases.
    Raises Problems.
    """
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout
    from orchestrator.runs import overlapping_plans, release, reporter
    from orchestrator.runs.reporter import RunOptions
    from orchestrator.state.client.run_reporter import RunSuperseded

    session = release.open_session(settings, auto_approve=True)
    bulletin.start_deployment(task)
    session.build_sites()
    merged_pull_request = bulletin.find_merged_pull_request() if reporter.is_configured() else None
    try:
        with session.acquire_lock(
            "deploy", RunOptions(wait_seconds=MAX_LOCK_WAIT_SECONDS, pull_request=merged_pull_request)
        ) as locked_session:
            if bulletin.has_newer_commit:
                locked_session.record.report_superseded(bulletin.run.sha)
            candidate = checkout.from_manifest(locked_session.manifest, locked_session.clients)
            planned = pipeline.plan(candidate.desired, allow=allow, clients=locked_session.clients)
            if not locked_session.show_plan(planned):
                raise veto_problems(planned.plan)
            if not is_approved and not _check_approval(
                locked_session, bulletin, planned.plan, candidate.ledger, digest
            ):
                reporter.record_unreviewed(locked_session.record)
                return ExitCode.UNREVIEWED
            retry_command = settings.command_line("deploy")
            deploy_run = locked_session.execute_deployment(
                planned,
                lambda deployment, on_failure: deployment.deploy(planned, candidate, on_failure),
                16,
                retry_command,
            )
            _notify_result(bulletin, planned.plan, deploy_run)
        overlapping_plans.close_merged(settings, bulletin, f"{planned.plan.project}/{planned.plan.environment}")
        return deploy_run.exit_code
    except RunSuperseded as superseded:
        settings.terminal.print_out(
            f"Run {superseded.run_id} deploys a newer commit, and this one with it; nothing was done."
        )
        bulletin.report_superseded(superseded.run_id)
        return ExitCode.OK


def _notify_result(bulletin: Notifier, plan: Plan, deploy_run: DeployRun) -> None:
    if deploy_run.result and deploy_run.view:
        bulletin.report_result(f"{plan.project}/{plan.environment}", deploy_run.view, deploy_run.result)
    else:
        bulletin.report_interrupted()


def notify_on_failure(
    bulletin: Notifier, settings: Settings, operation: Callable[[], int], verb: str = "deploy"
) -> int:
    """Do ``work``; whatever stops it is told before it is raised."""
    try:
        return operation()
    except Problems as error:
        bulletin.report_failure(error.problems, settings.command_line(verb))
        raise
    except BaseException:
        bulletin.report_interrupted()
        raise


def veto_problems(plan: Plan) -> Problems:
    """Why a plan may not be carried out, as problems."""
    from orchestrator.problems import Problem

    vetoes = [("", veto) for veto in plan.vetoes]
    vetoes += [(f"{change.address}: ", veto) for change in plan.changes for veto in change.vetoes]
    is_liftable = all(veto.token_lifts for _, veto in vetoes)
    hint = f"if this is what you want, run the workflow by hand with `allow` {plan.token}" if is_liftable else None
    return Problems(
        [Problem(f"{address_prefix}{item.sentence} ({item.name})", hint=hint) for address_prefix, item in vetoes],
        ExitCode.VETOED,
    )


def check_input(text: str, pattern: str, input_name: str, rule: str) -> None:
    """Check an input of a workflow again.  Raises Problems."""
    if not re.fullmatch(pattern, text):
        raise Problems.from_message(f"{input_name} is not one: {text[:80]!r}", hint=rule)


def _check_approval(session: ReleaseSession, bulletin: Notifier, plan: Plan, ledger: Ledger, digest: str) -> bool:
    """Whether the plan may go ahead; says so, or why not."""
    from orchestrator.github import approval
    from orchestrator.release import manifest_documents

    approval_mode = cast("ApprovalPolicy", session.manifest.project.spec["approval"])
    reviewed_plans = _reviewed_plans(
        bulletin, ledger, digest, is_required=approval_mode != "none" and bool(plan.pending_changes)
    )
    last_complete = ledger.last_complete
    released_handles = (
        {manifest_documents.document_handle(document) for document in ledger.documents_of(last_complete)}
        if last_complete
        else set()
    )
    verdict = approval.decide(plan, approval_mode, reviewed_plans, released_handles)
    session.settings.terminal.print_out(f"Approval: {verdict.reason}.")
    for sentence in verdict.unreviewed_changes:
        session.settings.terminal.print_err(f"  {sentence}")
    if not verdict.is_approved:
        bulletin.report_not_approved(f"{plan.project}/{plan.environment}", verdict, plan.digest)
    return verdict.is_approved


def _reviewed_plans(bulletin: Notifier, ledger: Ledger, digest: str, *, is_required: bool) -> list[ReviewedPlan]:
    from orchestrator.github import plan_status
    from orchestrator.github.reviewed_plan import ReviewedPlan

    reviewed_plans = [ReviewedPlan(digest)] if digest else []
    github = bulletin.github
    if not is_required or github is None:
        return reviewed_plans
    base_commit = ledger.last_complete.commit if ledger.last_complete else ""
    for pull_request in plan_status.list_pull_requests_since(github, base_commit, bulletin.commit):
        head_commit = str(pull_request["head"]["sha"])
        reviewed_plan = plan_status.read_reviewed_plan(
            github, int(pull_request["number"]), head_commit, bulletin.environment, bulletin.marker
        )
        reviewed_plans += [reviewed_plan] if reviewed_plan else []
    return reviewed_plans
