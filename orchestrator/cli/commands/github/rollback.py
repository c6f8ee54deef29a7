"""``orchestrator github rollback``: roll back, and report to GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.runs.release import RollbackOptions


@cli_command("rollback", "orchestrator github rollback -e prod")
@click.option(
    "--to", "release_number", default="", envvar="ORCHESTRATOR_RELEASE", help="Number of the release to roll back to."
)
@click.option("--only", "parts", default="", envvar="ORCHESTRATOR_PARTS", help="Parts, comma-separated.")
@click.option(
    "--reason", default="", envvar="ORCHESTRATOR_REASON", help="Reason for the rollback; recorded with the release."
)
@click.option(
    "--allow",
    default="",
    envvar="ORCHESTRATOR_ALLOW",
    metavar="TOKEN",
    help="Lift the vetoes of the plan that printed TOKEN.",
)
@click.option("--plan-only", is_flag=True, envvar="ORCHESTRATOR_PLAN_ONLY", help="Show the plan and stop.")
@click.option(
    "--unlock",
    "unlock_first",
    is_flag=True,
    envvar="ORCHESTRATOR_UNLOCK",
    help="Release the lock of a stuck run first.",
)
@common_options
def command(
    settings: Settings,
    release_number: str,
    parts: str,
    reason: str,
    allow: str,
    plan_only: bool,
    unlock_first: bool,
) -> int:
    """Roll back like `orchestrator rollback`, and report to GitHub. Waits for the lock.

    Starting the workflow approves the rollback. Uses the exit codes of `orchestrator rollback`.
    """
    from orchestrator.cli.commands.github.deploy import MAX_LOCK_WAIT_SECONDS
    from orchestrator.github.deploy_notifier import DeployNotifier
    from orchestrator.github.inputs import check_input, check_veto_token
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.release import RollbackOptions, rollback
    from orchestrator.runs.reporter import RunOptions
    from orchestrator.runs.unlock import unlock

    check_input(
        release_number,
        r"([1-9][0-9]{0,8})?",
        "release",
        "a number that `orchestrator releases` prints, or an empty value",
    )
    check_input(parts, r"[A-Za-z0-9_., -]{0,200}", "parts", "names, comma-separated")
    check_veto_token(allow)
    github = GitHubNotifier.from_environment(settings.manifests, settings.environment)
    number = int(release_number) if release_number else None
    run_options = RunOptions(wait_seconds=MAX_LOCK_WAIT_SECONDS)
    options = RollbackOptions(number, parts, reason, Approval(is_automatic=True), allow, run=run_options)
    if plan_only:
        return _publish_plan(settings, github, options)
    if unlock_first:
        unlock(settings, reason)
    notifier = DeployNotifier(github, is_approved=True)
    return notifier.carry_out(settings, lambda: rollback(settings, options, notifier), "releases").exit_code


def _publish_plan(settings: Settings, github: GitHubNotifier, options: RollbackOptions) -> int:
    """Write the plan of a rollback to the run's summary; nothing is changed."""
    from orchestrator.problems import ExitCode
    from orchestrator.render import plan_markdown, plan_view
    from orchestrator.runs.release import describe_rollback, plan_rollback

    target, planned = plan_rollback(settings, options)
    markdown = plan_markdown.render(plan_view.build_view(planned.plan, max_value_characters=400))
    github.run.append_summary(f"{describe_rollback(target)} Nothing was changed.\n\n{markdown}")
    github.run.set_outputs(result="planned", release=target.current_release.number, digest=planned.plan.digest)
    return ExitCode.VETOED if planned.plan.is_vetoed else ExitCode.OK
