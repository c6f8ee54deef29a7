"""``orchestrator github deploy``: deploy the reviewed plan of the newest commit, and report to GitHub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import build_job_options, common_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.build_job import BuildJob
    from orchestrator.github.deploy_notifier import DeployNotifier
    from orchestrator.release.promotion import PromotionRequest
    from orchestrator.runs.result import DeployRun

PARTS_PATTERN = r"(all|[a-z]+:[a-z0-9.-]+(, ?[a-z]+:[a-z0-9.-]+)*)?"
MAX_LOCK_WAIT_SECONDS = 1800.0
"""Maximum time to wait for another run that holds the lock."""


@cli_command("deploy", "orchestrator github deploy -e prod")
@click.option(
    "--digest",
    default="",
    envvar="ORCHESTRATOR_DIGEST",
    help="Digest of the plan to deploy. Starting the workflow with a digest approves that plan.",
)
@click.option(
    "--allow",
    default="",
    envvar="ORCHESTRATOR_ALLOW",
    metavar="TOKEN",
    help="Lift the vetoes of the plan that printed TOKEN.",
)
@click.option(
    "--unpin",
    "unpinned_parts",
    default="",
    envvar="ORCHESTRATOR_UNPIN",
    help="Parts to unpin before the deploy, comma-separated, or `all`.",
)
@click.option(
    "--pushed-images",
    type=click.Path(path_type=Path, dir_okay=False),
    envvar="ORCHESTRATOR_PUSHED_IMAGES",
    help="File to write for `github build`: the tags of the images that are already in the registry.",
)
@common_options
@build_job_options
def command(
    settings: Settings,
    digest: str,
    allow: str,
    unpinned_parts: str,
    pushed_images: Path | None,
    build: BuildJob | None,
) -> int:
    """Deploy the checked-out commit, if its plan was reviewed as the Project's `approval` requires.

    Waits for the lock. Reports to the job summary, to GitHub deployments and, on failure, to the merged pull request.
    Exits 3 when the plan is vetoed, 5 when the deploy failed and the previous release is restored, 6 when the plan
    differs from the reviewed plan and nothing was changed. Parts that stay pinned are shown as a warning, and do not
    fail the job.
    """
    from orchestrator.github.deploy_notifier import DeployNotifier
    from orchestrator.github.inputs import check_input, check_veto_token
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.github.overlapping_plans import close_merged

    check_input(digest, r"([0-9a-f]{64})?", "digest", "64 hexadecimal digits, as printed at the end of the plan")
    check_veto_token(allow)
    check_input(unpinned_parts, PARTS_PATTERN, "parts to unpin", "`all`, or parts that `orchestrator releases` lists")
    github = GitHubNotifier.from_environment(settings.manifests, settings.environment)
    notifier = DeployNotifier(github, digest, allow)
    if unpinned_parts:
        from orchestrator.runs.unpin import unpin

        parts = [] if unpinned_parts == "all" else [part.strip() for part in unpinned_parts.split(",")]
        unpin(settings, parts)
    run = deploy_with_reports(settings, notifier, allow, build=build)
    if build is not None and pushed_images is not None and run.exit_code == 0:
        build.save_tags(pushed_images)
    if run.result is not None:
        close_merged(settings, github, run.environment)
    return run.exit_code


def deploy_with_reports(
    settings: Settings,
    notifier: DeployNotifier,
    allow: str,
    description: str = "deploy",
    build: BuildJob | None = None,
    promotion: PromotionRequest | None = None,
) -> DeployRun:
    """Wait for the lock, deploy, and report to GitHub; that there is nothing to promote yet is no failure.

    Raises Problems after reporting them.
    """
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.release import DeployOptions, deploy
    from orchestrator.runs.reporter import RunOptions

    run_options = RunOptions(wait_seconds=MAX_LOCK_WAIT_SECONDS)

    def carry_out() -> DeployRun:
        is_built = build is not None and build.restore_sites(settings)
        options = DeployOptions(
            Approval(is_automatic=True),
            allow=allow,
            should_build_sites=not is_built,
            built_images=build.read_images() if build is not None else None,
            run=run_options,
            description=description,
            promotion=promotion,
        )
        return deploy(settings, options, notifier)

    return notifier.carry_out(settings, carry_out, "deploy")
