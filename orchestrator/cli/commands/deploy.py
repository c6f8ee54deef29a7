"""``orchestrator deploy``: the pipeline, then the proof, then the record."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, common_options, plan_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "deploy",
    "orchestrator deploy -e prod",
    "orchestrator deploy --expect DIGEST",
    "orchestrator deploy --auto-approve --no-build",
)
@click.option("--no-build", is_flag=True, help="Do not run the sites' build commands; ship what is there.")
@apply_options
@plan_options
@run_options
@common_options
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    no_build: bool,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    targets: tuple[str, ...],
    allow: str,
    how: RunOptions,
) -> int:
    """Build, apply, ship, prove, and write the release down.

    Does what apply does, and then asks the services and the CDN whether what answers is what was shipped. If not, it
    goes back to the last release that was proved (or stops, if the Project says `releases.onFailure: stop`). Exits 0
    when released, 1 when it failed, 3 when vetoed, 5 when it failed and the release before stands again.
    """
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.release import DeployOptions, deploy

    approval = Approval(None, expect, auto_approve)
    options = DeployOptions(approval, targets, allow, parallelism, not no_build, how)
    return deploy(settings, options).exit_code
