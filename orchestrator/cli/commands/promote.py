"""``orchestrator promote``: deploy what another environment has proved, by the same digests."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, common_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "promote",
    "orchestrator promote --from staging --to prod",
    "orchestrator promote --from staging --to prod --plan",
    "orchestrator promote --from staging --to prod --release 12",
)
@click.option(
    "--from", "source", metavar="ENVIRONMENT", help="Source environment; default: the one in the Project's `promotion`."
)
@click.option("--to", "target", metavar="ENVIRONMENT", help="Target environment; same as -e.")
@click.option(
    "--release",
    "number",
    type=click.IntRange(1),
    metavar="RELEASE",
    help="Number of the release to promote, in the source environment.",
)
@click.option("--skip-soak", is_flag=True, help="Do not wait for the soak time.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would change; change nothing.")
@click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
@apply_options
@run_options
@common_options
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    source: str | None,
    target: str | None,
    number: int | None,
    skip_soak: bool,
    plan_only: bool,
    allow: str,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    run_options: RunOptions,
) -> int:
    """Deploy a release that another environment has verified, with the same digests.

    Copies the images, sites and models of the release, and builds nothing. Without --release, promotes the newest
    release that meets the conditions of `promotion` in the Project. Manifests and database schema come from the
    checkout, for the target environment. Then verifies the release, and rolls back on failure, as `orchestrator deploy`
    does. Uses the exit codes of `orchestrator deploy`.
    """
    from orchestrator.problems import ExitCode
    from orchestrator.release.promotion import PromotionRequest
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.release import DeployOptions, deploy, plan_promotion

    settings.environment = target or settings.environment
    settings.choose_environment()
    request = PromotionRequest(source or "", number, skip_soak)
    options = DeployOptions(
        Approval(None, expect, auto_approve),
        allow=allow,
        parallelism=parallelism,
        run=run_options,
        description="promote",
        promotion=request,
    )
    if plan_only:
        return ExitCode.VETOED if plan_promotion(settings, options).plan.is_vetoed else ExitCode.OK
    return deploy(settings, options).terminal_exit_code
