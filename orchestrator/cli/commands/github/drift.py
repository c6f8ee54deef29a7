"""``orchestrator github drift``: check for drift, keep one issue about it, and accept or revert it."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import build_job_options, common_options
from orchestrator.problems import ExitCode, Problems
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.drift_acceptance import ManifestEdits
    from orchestrator.github.build_job import BuildJob
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.checkout import ReleaseCandidate
    from orchestrator.vocabulary import DesiredState

DriftAction = Literal["report", "accept", "revert"]
TARGETS_PATTERN = r"[A-Za-z0-9_.:, /-]{1,500}"


@cli_command(
    "drift", "orchestrator github drift -e prod", "orchestrator github drift --answer accept --targets s3_bucket.files"
)
@click.option(
    "--answer",
    type=click.Choice(["report", "accept", "revert"]),
    default="report",
    show_default=True,
    envvar="ORCHESTRATOR_ANSWER",
    help=(
        "What to do about drift: report it, accept it (opens a pull request that changes the manifests) or revert it "
        "(changes AWS)."
    ),
)
@click.option(
    "--targets",
    default="all",
    envvar="ORCHESTRATOR_TARGETS",
    help="Addresses of the drift to accept, comma-separated, or `all`.",
)
@click.option(
    "--allow",
    default="",
    envvar="ORCHESTRATOR_ALLOW",
    metavar="TOKEN",
    help="Lift the vetoes of the plan that printed TOKEN.",
)
@common_options
@build_job_options
def command(settings: Settings, answer: DriftAction, targets: str, allow: str, build: BuildJob | None) -> int:
    """Check for drift, and report it in one issue, which is closed when the drift is resolved.

    A second issue lists the dates on which AWS changes the stack or GitHub changes its runners; see `orchestrator
    outlook`.

    `--answer accept` opens a pull request that edits the manifests and keeps their comments and layout. `--answer
    revert` deploys the manifests; starting the workflow approves this deploy. Exits 0 with or without drift.
    """
    from orchestrator.github.inputs import check_input, check_veto_token
    from orchestrator.github.notifications import GitHubNotifier

    check_input(targets, TARGETS_PATTERN, "list of targets", "`all`, or comma-separated addresses from the issue")
    check_veto_token(allow)
    notifier = GitHubNotifier.from_environment(settings.manifests, settings.environment)
    exit_code: int = ExitCode.OK
    if answer == "accept":
        exit_code = _accept_drift(
            settings, notifier, [target.strip() for target in targets.split(",") if target.strip()]
        )
    elif answer == "revert":
        exit_code = _revert_drift(settings, notifier, allow, build)
    else:
        exit_code = _report_if_deployed(settings, notifier)
    return exit_code


def _report_if_deployed(settings: Settings, notifier: GitHubNotifier) -> int:
    """Check for drift; an environment that waits for its first promotion has none."""
    from orchestrator.release.promotion import NothingToPromoteError

    try:
        _report_drift(settings, notifier)
    except NothingToPromoteError as error:
        settings.terminal.print_out(f"{error.problems[0].message}.")
        notifier.run.set_outputs(drifted="false")
    return ExitCode.OK


def _report_drift(settings: Settings, notifier: GitHubNotifier) -> tuple[ReleaseCandidate, PreparedPlan]:
    """Check for drift, and update the issue, the run's summary and its outputs."""
    from orchestrator.github import comment_body, tracking_issue
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout
    from orchestrator.render import drift, plan_markdown
    from orchestrator.runs.drift_check import check_drift
    from orchestrator.runs.due_drills import list_due

    candidate = checkout.load(settings.manifests, settings.environment, is_promoting=False)
    planned = pipeline.plan(candidate.desired, clients=candidate.clients, preserves_power=True)
    drift_view = check_drift(settings, candidate, planned)
    settings.terminal.print_out(drift.render_text(drift_view, settings.terminal.style, hide_in_sync=True))
    marker = plan_markdown.marker(notifier.marker, "drift-issue")
    body = comment_body.render_drift(drift_view, marker, notifier.commit, notifier.run.url)
    notifier.run.append_summary(body)
    notifier.run.set_outputs(
        drifted=str(drift_view.has_drifted).lower(),
        count=drift_view.count(drift.SyncStatus.DRIFTED),
        unhealthy=drift_view.count(drift.SyncStatus.UNHEALTHY),
        pending=drift_view.count(drift.SyncStatus.PENDING),
        coverage=f"{drift_view.coverage:g}",
        due_drills=",".join(list_due(planned)),
    )
    github = notifier.github
    assert github is not None
    if drift_view.needs_attention:
        url = tracking_issue.open_or_update(
            github,
            marker,
            f"Drift in {drift_view.title}",
            body,
            label=tracking_issue.DRIFT_LABEL,
            reopened="Drift detected again.",
        )
    elif planned.plan.unread:
        url = tracking_issue.update(github, marker, body)
    else:
        url = tracking_issue.close(github, marker, body, f"Resolved: {drift_view.headline}. [Run]({notifier.run.url})")
    dates_url = _report_dates(settings, notifier, drift_view.title, candidate.desired)
    notifier.run.set_outputs(issue=url, dates_issue=dates_url)
    return candidate, planned


def _report_dates(settings: Settings, notifier: GitHubNotifier, title: str, desired: DesiredState) -> str:
    """Keep one issue about the dates on which AWS or GitHub changes what is declared, and return its URL or ""."""
    from datetime import UTC, datetime

    from orchestrator.artefacts.repository_paths import find_repository
    from orchestrator.cost.deadlines import list_deadlines
    from orchestrator.cost.workflow_deadlines import list_workflow_deadlines
    from orchestrator.github import dates_issue
    from orchestrator.render import plan_markdown

    assert notifier.github is not None
    marker, today = plan_markdown.marker(notifier.marker, "dates-issue"), datetime.now(UTC).date()
    all_dates = [
        *list_deadlines(desired.resources),
        *list_workflow_deadlines(find_repository(settings.manifests.resolve())),
    ]
    return dates_issue.report(notifier.github, marker, title, all_dates, today, notifier.run.url)


def _accept_drift(settings: Settings, notifier: GitHubNotifier, targets: list[str]) -> int:
    from orchestrator import drift_acceptance
    from orchestrator.aws import Reader
    from orchestrator.planning import pipeline

    candidate, planned = _report_drift(settings, notifier)
    if not planned.plan.pending_changes:
        settings.terminal.print_out("No drift to accept.")
        return ExitCode.OK
    manifest = pipeline.validate(settings.manifests, settings.environment)
    assert candidate.clients is not None
    edits = drift_acceptance.accept(manifest, candidate.artefacts, planned, targets, Reader(candidate.clients))
    for message in edits.unresolved:
        settings.terminal.print_err(f"Not changed: {message}")
    if not edits.texts:
        raise Problems.from_message(
            "none of the drift can be accepted by editing the manifests", hint="; ".join(edits.unresolved)[:500] or None
        )
    url = _open_pull_request(notifier, edits)
    settings.terminal.print_out(f"Opened a pull request: {url}")
    notifier.run.set_outputs(pull_request=url)
    return ExitCode.OK


def _open_pull_request(notifier: GitHubNotifier, edits: ManifestEdits) -> str:
    from orchestrator.github import comment_body, pull_request

    github = notifier.github
    assert github is not None
    base_branch = notifier.run.default_branch
    files = {os.path.relpath(file): text for file, text in edits.texts.items()}
    title = f"Accept drift in {notifier.environment}"
    body = comment_body.render_accepted_drift(edits.applied, edits.unresolved, notifier.run.url)
    branch = f"orchestrator/drift-{notifier.environment}"
    return pull_request.create_or_update(github, branch, base_branch, notifier.commit, files, (title, body))


def _revert_drift(settings: Settings, notifier: GitHubNotifier, allow: str, build: BuildJob | None) -> int:
    """Deploy what the manifests say, and check for drift again."""
    from orchestrator.cli.commands.github.deploy import deploy_with_reports
    from orchestrator.github.deploy_notifier import DeployNotifier

    deploy_notifier = DeployNotifier(notifier, allow=allow, is_approved=True)
    run = deploy_with_reports(settings, deploy_notifier, allow, "revert drift", build)
    if run.exit_code == ExitCode.OK:
        _report_drift(settings, notifier)
    return run.exit_code
