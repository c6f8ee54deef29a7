"""``orchestrator github validate``: the manifests, before anybody asks for credentials."""

from __future__ import annotations

from collections.abc import Mapping

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.problems import Problems
from orchestrator.runs.settings import Settings

ROLE = "ORCHESTRATOR_ROLE"
"""The role that a later step will become: where a workflow says this, it must say which."""


@verb("validate", "orchestrator github validate -e prod")
@click.option("--silent", is_flag=True, help="Tell the run's page only; no token is used.")
@common
def command(settings: Settings, silent: bool) -> None:
    """Check the manifests, and set the outputs `region`, `account`, `project` and `environment`.

    What is wrong is shown at its line of the pull request, and in the comment.
    """
    from orchestrator.github.notifications import Bulletin
    from orchestrator.planning import pipeline

    bulletin = Bulletin.here(settings.manifests, settings.environment, silent=silent)
    _demand_role(bulletin.run.environ)
    try:
        manifest = pipeline.validate(settings.manifests, settings.environment)
    except Problems as error:
        if bulletin.run.pull_request:
            bulletin.no_plan(error.problems)
        else:
            bulletin.failed(error.problems, settings.command("validate"))
        raise
    scope = manifest.scope
    bulletin.run.output(
        region=scope.region, account=scope.account, project=scope.project, environment=scope.environment
    )
    settings.terminal.say("The manifests are valid.")


def _demand_role(environ: Mapping[str, str]) -> None:
    """Raises Problems where the workflow names no role: AWS's own refusal would not say why."""
    if ROLE in environ and not environ[ROLE]:
        raise Problems.one(
            "there is no role to become: the workflow got no `role`, and the variable for it is not set",
            hint="`orchestrator bootstrap github` makes the roles and sets ORCHESTRATOR_PLAN_ROLE (repository) and "
            "ORCHESTRATOR_DEPLOY_ROLE (environment); nothing was done",
        )
