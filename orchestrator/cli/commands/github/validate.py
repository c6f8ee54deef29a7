"""``orchestrator github validate``: check the manifests before the workflow asks for credentials."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.problems import Problems
from orchestrator.runs.settings import Settings

ROLE_VARIABLE = "ORCHESTRATOR_ROLE"
"""Variable with the role that a later step assumes; if a workflow sets it, it must not be empty."""


@cli_command("validate", "orchestrator github validate -e prod")
@click.option("--silent", is_flag=True, help="Report only to the job summary, without a token.")
@common_options
def command(settings: Settings, silent: bool) -> None:
    """Check the manifests, and set the outputs `region`, `account`, `project`, `environment` and `key`.

    If Node builds a site, also sets `node-key`, `node-version` and `node-version-file`, for setting up Node. Shows each
    problem at its line in the pull request, and in the comment.
    """
    from orchestrator.artefacts.sites import node_version
    from orchestrator.github.notifications import GitHubNotifier
    from orchestrator.manifest import expand
    from orchestrator.planning import pipeline

    notifier = GitHubNotifier.from_environment(settings.manifests, settings.environment, is_silent=silent)
    notifier.run.set_outputs(key=_artifact_key(settings.manifests, notifier.environment))
    _require_role(notifier.run.environ)
    try:
        manifest = pipeline.validate(settings.manifests, settings.environment)
    except Problems as error:
        if notifier.run.pull_request:
            notifier.report_no_plan(error.problems)
        else:
            notifier.report_failure(error.problems, settings.command_line("validate"))
        raise
    scope, node = manifest.scope, node_version.find_setup(expand.build_stack(manifest).components.values())
    notifier.run.set_outputs(
        region=scope.region, account=scope.account, project=scope.project, environment=scope.environment
    )
    if node is not None:
        notifier.run.set_outputs(
            node_key=node.lock_hash, node_version=node.version, node_version_file=node.version_file
        )
    settings.terminal.print_out("The manifests are valid.")


def _artifact_key(folder: Path, environment: str) -> str:
    """Return what names the artefacts of an environment, also beside those of other folders in the same run."""
    prefix = "" if folder == Path("manifests") else re.sub(r"[^A-Za-z0-9]+", "-", str(folder)).strip("-")
    return f"{prefix}-{environment}" if prefix else environment


def _require_role(environ: Mapping[str, str]) -> None:
    """Raise Problems if the workflow sets an empty role; the error of AWS would not say why."""
    if ROLE_VARIABLE in environ and not environ[ROLE_VARIABLE]:
        raise Problems.from_message(
            "no role to assume: neither the workflow's `role` input nor its role variable is set",
            hint="run `orchestrator bootstrap github`: it creates the roles and sets "
            "ORCHESTRATOR_PLAN_ROLE (repository) and "
            "ORCHESTRATOR_DEPLOY_ROLE (environment, or repository without environments); nothing was changed",
        )
