"""``orchestrator github plan``: plan, and keep one comment on the pull request up to date."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import build_job_options, common_options
from orchestrator.problems import ExitCode, Problems
from orchestrator.runs import reporter
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.build_job import BuildJob
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.release.checkout import ReleaseCandidate
    from orchestrator.render.plan_view import PlanView
    from orchestrator.render.release_summary import ReleaseFacts
    from orchestrator.vocabulary import Plan

MAX_SUMMARY_BYTES = 900_000
"""Maximum size of a step summary; GitHub rejects more than 1 MiB."""


@cli_command("plan", "orchestrator github plan -e prod --out plan", "orchestrator github plan --emulated")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the plan, as JSON and HTML.")
@click.option(
    "--emulated", is_flag=True, help="Plan against an empty emulated AWS, and report only to the job summary."
)
@common_options
@build_job_options
def command(settings: Settings, out: Path | None, emulated: bool, build: BuildJob | None) -> int:
    """Make a plan, and keep one comment on the pull request up to date.

    If --built names the output folder of `github build`, compares the built sites with the live sites. A commit status
    shows the digest of the plan. --emulated uses no credentials and no token, for pull requests from forks. Uses the
    exit codes of `orchestrator plan`.
    """
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.release.promotion import NothingToPromoteError

    notifier = GitHubNotifier.from_environment(settings.manifests, settings.environment, is_silent=emulated)
    try:
        planned, candidate, approval_mode = _make_plan(settings, build, emulated=emulated)
    except NothingToPromoteError as error:
        notifier.report_nothing_to_plan(error.problems)
        settings.terminal.print_out(f"{error.problems[0].message}.")
        return ExitCode.OK
    except Problems as error:
        notifier.report_no_plan(error.problems)
        raise
    if not emulated:
        reporter.record_plan(settings, planned)
    facts = _find_facts(notifier, candidate)
    approval = approval_mode, _render_loosening(approval_mode, candidate)
    _publish_plan(settings, notifier, planned, approval, facts, out)
    return ExitCode.VETOED if planned.plan.is_vetoed else ExitCode.OK


def _render_loosening(approval_mode: str, candidate: ReleaseCandidate) -> str:
    """Return the warning that the Project would approve more than the last release does; "" if it does not."""
    from orchestrator.github import approval_policy, comment_body
    from orchestrator.release import manifest_documents

    last_deploy = candidate.ledger.last_deploy
    released = manifest_documents.read_approval(candidate.ledger.documents_of(last_deploy)) if last_deploy else ""
    return (
        comment_body.render_loosening(released, approval_mode)
        if approval_policy.is_looser(approval_mode, released)
        else ""
    )


def _find_facts(notifier: GitHubNotifier, candidate: ReleaseCandidate) -> ReleaseFacts:
    """Return what the pull request would release; without GitHub's answer, what is known without it."""
    from orchestrator.github import release_facts
    from orchestrator.github.client import GitHubProblems

    try:
        return release_facts.find(notifier.github, candidate, notifier.commit)
    except GitHubProblems:
        return release_facts.find(None, candidate, notifier.commit)


def _make_plan(
    settings: Settings, build: BuildJob | None, *, emulated: bool
) -> tuple[PreparedPlan, ReleaseCandidate, str]:
    """Return the plan, what it was made of, and the Project's ``approval`` mode.

    Raises Problems if the manifests are invalid, the sites could not be built, or AWS cannot be read.
    """
    from orchestrator.github.emulated_aws import emulated_aws
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    if build is not None:
        build.restore_sites(settings)
    with ExitStack() as stack:
        if emulated:
            stack.enter_context(emulated_aws(manifest.scope))
        candidate = checkout.from_manifest(manifest)
        planned = pipeline.plan(candidate.desired, clients=candidate.clients)
        return planned, candidate, str(manifest.project.spec["approval"])


def _publish_plan(
    settings: Settings,
    notifier: GitHubNotifier,
    planned: PreparedPlan,
    approval: tuple[str, str],
    facts: ReleaseFacts,
    out: Path | None,
) -> None:
    """Write the plan to the terminal, ``out``, the run and the comment.

    ``approval`` is the Project's mode, and what has to be said of it.
    """
    from orchestrator.github import comment_body
    from orchestrator.render import plan_view
    from orchestrator.runs import plan_output

    plan = planned.plan
    if out is not None:
        _write_plan(planned, out)
    plan_output.print_plan(settings.terminal, planned, "full")
    view = plan_view.build_view(plan, cost=plan_output.cost_view(planned), include_steps=True, max_value_characters=400)
    view = plan_output.add_summary(view, planned, facts)
    summary_body = comment_body.render_plan(
        view,
        marker_comment="",
        commit=notifier.commit,
        run_url=notifier.run.url,
        approval=approval[0],
        overlaps=approval[1],
        limit=MAX_SUMMARY_BYTES,
    )
    notifier.run.append_summary(summary_body)
    notifier.run.set_outputs(
        digest=plan.digest,
        changes=len(plan.pending_changes),
        vetoed=str(plan.is_vetoed).lower(),
        environment=plan.environment,
    )
    _write_comment(settings, notifier, plan, view, approval)


def _write_comment(
    settings: Settings, notifier: GitHubNotifier, plan: Plan, view: PlanView, approval: tuple[str, str]
) -> None:
    from orchestrator.github import comment_body, overlapping_plans, reviewed_plan

    mode, notice = approval
    overlaps = overlapping_plans.report_overlaps(settings, notifier, plan)
    comment = comment_body.render_plan(
        view,
        marker_comment=reviewed_plan.create_marker(plan, mode)[0],
        commit=notifier.commit,
        run_url=notifier.run.url,
        approval=mode,
        overlaps="\n\n".join(filter(None, (notice, overlaps))),
        limit=notifier.comment_limit,
    )
    notifier.report_plan(comment, plan.digest, view.headline, is_vetoed=plan.is_vetoed)


def _write_plan(planned: PreparedPlan, out: Path) -> None:
    """Write the plan as JSON and HTML."""
    from orchestrator.cli import plan_file
    from orchestrator.render import plan_html, plan_view
    from orchestrator.runs import plan_output

    out.mkdir(parents=True, exist_ok=True)
    plan_file.write(out / "plan.json", planned.plan)
    cost = plan_output.cost_view(planned)
    html_view = plan_view.build_view(planned.plan, cost=cost, include_steps=True, max_value_characters=4_000)
    (out / "plan.html").write_text(plan_html.render(html_view), encoding="utf-8")
