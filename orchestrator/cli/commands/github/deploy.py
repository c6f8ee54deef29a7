"""``orchestrator github deploy``: deploy the reviewed plan of the newest commit, and report to GitHub."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import click
from msgspec import Struct

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.deploy_notifier import DeployNotifier
    from orchestrator.runs.result import DeployRun

PARTS_PATTERN = r"(all|[a-z]+:[a-z0-9.-]+(, ?[a-z]+:[a-z0-9.-]+)*)?"
MAX_LOCK_WAIT_SECONDS = 1800.0
"""Maximum time to wait for another run that holds the lock."""


@cli_command("deploy", "orchestrator github deploy -e prod")
@click.option(
    "--digest",
    default="",
    envvar="ORCHESTRATOR_DIGEST",
    help="Digest of the plan to deploy; starting this run approves it.",
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
    help="First let go of what a rollback pinned: `all`, or parts, comma-separated.",
)
@click.option(
    "--built",
    type=click.Path(path_type=Path, file_okay=False),
    envvar="ORCHESTRATOR_BUILT",
    help="Folder of the sites that `github build` has built; otherwise they are built here.",
)
@click.option("--build-result", default="", envvar="ORCHESTRATOR_BUILD_RESULT", help="Result of the job that built.")
@click.option(
    "--build-failure", default="", envvar="ORCHESTRATOR_BUILD_FAILURE", help="What that job said if it failed."
)
@common_options
def command(
    settings: Settings,
    digest: str,
    allow: str,
    unpinned_parts: str,
    built: Path | None,
    build_result: str,
    build_failure: str,
) -> int:
    """Deploy the checked-out commit, if its plan was reviewed as the Project's `approval` requires.

    Waits for the lock. Reports to the run's summary, to GitHub's deployments, and, if it fails, to the merged pull
    request. Exits as `orchestrator deploy` does, or 6 when the plan is not the reviewed one and nothing was changed.
    """
    from orchestrator.github.deploy_notifier import DeployNotifier
    from orchestrator.github.inputs import check_input, check_veto_token
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.github.overlapping_plans import close_merged

    check_input(digest, r"([0-9a-f]{64})?", "digest", "64 hexadecimal digits, as printed at the end of the plan")
    check_veto_token(allow)
    check_input(unpinned_parts, PARTS_PATTERN, "parts to unpin", "`all`, or parts that `orchestrator releases` lists")
    github = GitHubNotifier.from_environment(settings.manifests, settings.environment)
    notifier = DeployNotifier(github, digest)
    if unpinned_parts:
        from orchestrator.runs.unpin import unpin

        parts = [] if unpinned_parts == "all" else [part.strip() for part in unpinned_parts.split(",")]
        unpin(settings, parts)
    sites = BuiltSites(built, build_result, build_failure) if built is not None else None
    run = deploy_with_reports(settings, notifier, allow, sites=sites)
    if run.result is not None:
        close_merged(settings, github, run.environment)
    return run.exit_code


class BuiltSites(Struct, frozen=True):
    """The folder where a job has left the sites it built, the job's result, and what it said if it failed."""

    folder: Path
    result: str
    failure: str = ""


def deploy_with_reports(
    settings: Settings,
    notifier: DeployNotifier,
    allow: str,
    description: str = "deploy",
    sites: BuiltSites | None = None,
) -> DeployRun:
    """Wait for the lock, deploy, and report to GitHub.  Raises Problems after reporting them."""
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.release import DeployOptions, deploy
    from orchestrator.runs.reporter import RunOptions
    from orchestrator.runs.site_builds import restore_built_sites

    run_options = RunOptions(wait_seconds=MAX_LOCK_WAIT_SECONDS)

    def carry_out() -> DeployRun:
        is_built = sites is not None and restore_built_sites(settings, sites.folder, sites.result, sites.failure)
        options = DeployOptions(
            Approval(is_automatic=True),
            allow=allow,
            should_build_sites=not is_built,
            run=run_options,
            description=description,
        )
        return deploy(settings, options, notifier)

    return notifier.carry_out(settings, carry_out, "deploy")
