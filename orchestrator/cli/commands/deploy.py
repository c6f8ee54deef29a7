"""``orchestrator deploy``: build, apply, ship, verify and record a release."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, plan_options, project_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "deploy",
    "orchestrator deploy -e prod",
    "orchestrator deploy --expect DIGEST",
    "orchestrator deploy --auto-approve --no-build",
)
@click.option("--no-build", is_flag=True, help="Do not run the sites' build commands; upload the files that exist.")
@click.option(
    "--rebuild", is_flag=True, help="Build every image again, without caches, even if its inputs are unchanged."
)
@apply_options
@plan_options
@run_options
@project_options
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    no_build: bool,
    rebuild: bool,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    targets: tuple[str, ...],
    allow: str,
    run_options: RunOptions,
) -> int:
    """Build, apply and verify a release, and record it.

    Does what `apply` does, then sends requests to the services and the CDN to verify that the new release works. If
    it does not, rolls back to the last verified release (or stops, if the Project sets `releases.onFailure: stop`).
    Exits 0 when the release is deployed, 1 when the deploy failed, 3 when the plan is vetoed, 5 when the deploy failed
    and the previous release is restored, 7 when parts stay pinned because they were rolled back before.
    """
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.release import DeployOptions, deploy

    approval = Approval(None, expect, auto_approve)
    options = DeployOptions(approval, targets, allow, parallelism, not no_build, rebuild, run_options)
    return deploy(settings, options).terminal_exit_code
