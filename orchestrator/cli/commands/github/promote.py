"""``orchestrator github promote``: promote a release of another environment, and report to GitHub."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import build_job_options, common_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.build_job import BuildJob

STARTED_BY_HAND = "workflow_dispatch"
"""The event of a run that a person started."""


@cli_command("promote", "orchestrator github promote -e prod")
@click.option("--from", "source", default="", envvar="ORCHESTRATOR_SOURCE", help="Environment to promote from.")
@click.option(
    "--release",
    "number",
    default="",
    envvar="ORCHESTRATOR_RELEASE",
    help="Number of the release to promote, in the source environment.",
)
@click.option("--skip-soak", is_flag=True, envvar="ORCHESTRATOR_SKIP_SOAK", help="Do not wait for the soak time.")
@click.option(
    "--allow",
    default="",
    envvar="ORCHESTRATOR_ALLOW",
    metavar="TOKEN",
    help="Lift the vetoes of the plan that printed TOKEN.",
)
@common_options
@build_job_options
def command(settings: Settings, source: str, number: str, skip_soak: bool, allow: str, build: BuildJob | None) -> int:
    """Promote like `orchestrator promote`, and report to GitHub. Waits for the lock.

    Starting the workflow manually approves the promotion and unpins what a rollback pinned. A scheduled run promotes a
    release that meets the conditions of the Project, if its plan is approved as `approval` requires. While parts are
    pinned by a rollback, nothing is promoted. Uses the exit codes of
    `orchestrator github deploy`.
    """
    from orchestrator.cli.commands.github.deploy import deploy_with_reports
    from orchestrator.github.deploy_notifier import DeployNotifier
    from orchestrator.github.inputs import check_input, check_veto_token
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.manifest.overlay import NAME_PATTERN
    from orchestrator.release.promotion import PromotionRequest

    check_input(
        number, r"([1-9][0-9]{0,8})?", "release", "a number that `orchestrator releases` prints, or an empty value"
    )
    check_input(
        source,
        rf"({NAME_PATTERN.pattern.removesuffix(chr(92) + 'Z')})?",
        "source",
        "the name of an environment, or an empty value",
    )
    check_veto_token(allow)
    github = GitHubNotifier.from_environment(settings.manifests, settings.environment)
    is_by_hand = github.run.environ.get("GITHUB_EVENT_NAME") == STARTED_BY_HAND
    notifier = DeployNotifier(github, allow=allow, is_approved=is_by_hand)
    request = PromotionRequest(source, int(number) if number else None, skip_soak) if is_by_hand else None
    return deploy_with_reports(settings, notifier, allow, "promote", build, request).exit_code
