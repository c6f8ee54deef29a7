"""``orchestrator rollback``: roll back to an earlier release."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, project_options, run_options
from orchestrator.cli.value_completion import complete_release
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "rollback",
    "orchestrator rollback -e prod",
    "orchestrator rollback --to 12 --plan",
    "orchestrator rollback --only site --reason 'wrong prices on the home page'",
    "orchestrator rollback --only model --reason 'confuses rings with chains'",
)
@click.option(
    "--to",
    "number",
    type=click.IntRange(1),
    metavar="RELEASE",
    shell_complete=complete_release,
    help="Number of the release to roll back to.",
)
@click.option("--only", default="", metavar="PARTS", help="Comma-separated: api, site, secrets, model, manifests.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would change; change nothing.")
@click.option("--reason", default="", help="Reason for the rollback; recorded, and shown with the pins.")
@click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
@apply_options
@run_options
@project_options
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    number: int | None,
    only: str,
    plan_only: bool,
    reason: str,
    allow: str,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    run_options: RunOptions,
) -> int:
    """Roll back to an earlier release, completely or in parts.

    Restores image, site, secrets, model and manifests together. Without --to, restores the last release that was
    verified healthy. Builds and uploads nothing. The result is the old release or the current one, never a mix. What
    was rolled back is pinned: the next deploy does not ship it again unless it has changed (see `orchestrator unpin`).
    Exits 0 when done, 1 when it failed, 3 when the plan is vetoed, 5 when it failed and its changes were undone.
    """
    from orchestrator.problems import ExitCode
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.release import RollbackOptions, plan_rollback, rollback

    approval = Approval(None, expect, auto_approve)
    options = RollbackOptions(number, only, reason, approval, allow, parallelism, run_options)
    if plan_only:
        _, planned = plan_rollback(settings, options)
        return ExitCode.VETOED if planned.plan.is_vetoed else ExitCode.OK
    return rollback(settings, options).exit_code
