"""``orchestrator github changed``: list the environments to run in a matrix, by what a commit changes."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.problems import Problems
from orchestrator.quantities import format_count
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.workflow_run import WorkflowRun
    from orchestrator.runs.changed_environments import RepositoryEnvironment

CHANGED, ALL, PROMOTING = SELECTIONS = ("changed", "all", "promoting")
VARIABLES_VARIABLE = "ORCHESTRATOR_VARIABLES"
"""Variable with the repository's variables as JSON, which say what `orchestrator bootstrap github` has set up."""


@cli_command("changed", "orchestrator github changed", "orchestrator github changed --list all")
@click.option(
    "--list",
    "selection",
    type=click.Choice(SELECTIONS),
    default=CHANGED,
    show_default=True,
    envvar="ORCHESTRATOR_LIST",
    help="Which environments to list: those with changes, all, or those that get the releases of another environment.",
)
@click.option(
    "--only", default="", envvar="ORCHESTRATOR_ONLY", help="List only this environment, regardless of what changed."
)
@click.option(
    "--application",
    default="",
    metavar="FOLDER",
    envvar="ORCHESTRATOR_APPLICATION",
    help="List only environments of this folder of manifests, regardless of what changed.",
)
@click.option("--single", is_flag=True, envvar="ORCHESTRATOR_SINGLE", help="Fail unless the list has one environment.")
@common_options
def command(settings: Settings, selection: str, only: str, application: str, single: bool) -> None:
    """Find the environments of the repository whose inputs changed: manifests, and all files that they refer to.

    Compares a pull request with its base, and a push with the last commit that was deployed without failures. Sets the
    outputs `targets` (a JSON list for a matrix: `manifests`, `environment`, `plan-role`, `deploy-role`) and `count`.
    Uses no AWS credentials.
    """
    from orchestrator.github.inputs import check_input
    from orchestrator.github.workflow_run import WorkflowRun
    from orchestrator.runs import changed_environments

    check_input(only, r"([a-z][a-z0-9-]{0,15})?", "environment", "the name of an environment, or an empty value")
    check_input(application, r"([\w.-][\w./-]{0,200})?", "application", "a folder of manifests, or an empty value")
    run, root = WorkflowRun.from_environment(), Path.cwd()
    environments = changed_environments.list_environments(root)
    chosen = _choose(environments, selection, only, application.rstrip("/"), run, root)
    if single and len(chosen) != 1:
        raise Problems.from_message(
            f"this workflow works on one environment, and {format_count(len(chosen), 'environment')} match",
            hint=f"start it with one of these inputs: {_format_inputs(chosen or environments)}",
        )
    targets = [_describe(item, run) for item in chosen]
    run.set_outputs(targets=json.dumps(targets), count=len(targets))
    for item in environments:
        settings.terminal.print_out(f"{item.manifests}, {item.name}: {'run' if item in chosen else 'not in the list'}")


def _choose(
    environments: list[RepositoryEnvironment],
    selection: str,
    only: str,
    application: str,
    run: WorkflowRun,
    root: Path,
) -> list[RepositoryEnvironment]:
    """Return the environments to list. Raises Problems if there is no such environment or application."""
    if only or application:
        named = [item for item in environments if only in ("", item.name) and application in ("", item.manifests)]
        if not named:
            raise Problems.from_message(
                f"no manifests in {application or 'the repository'} declare the environment {only}"
                if only
                else f"no manifests in {application} declare an environment",
                hint=f"use one of these inputs: {_format_inputs(environments)}",
            )
        return named
    if selection == PROMOTING:
        return [item for item in environments if item.promotes_from]
    return environments if selection == ALL else _list_changed(run, root, environments)


def _format_inputs(environments: list[RepositoryEnvironment]) -> str:
    """Return the inputs of a workflow that choose each environment."""
    return "; ".join(f"-f application={item.manifests} -f environment={item.name}" for item in environments) or "none"


def _list_changed(
    run: WorkflowRun, root: Path, environments: list[RepositoryEnvironment]
) -> list[RepositoryEnvironment]:
    """Return the environments with changed inputs; all of them if there is no commit to compare with."""
    from orchestrator.github import last_deployed_commit
    from orchestrator.runs import changed_environments

    if run.pull_request is not None:
        base = "HEAD^1"  # GitHub checks out the merge of the base branch and the pull request
    else:
        workflow_ref = run.environ.get("GITHUB_WORKFLOW_REF", "")
        base = last_deployed_commit.find_commit(run.create_client(), workflow_ref, run.default_branch)
    paths = changed_environments.list_changed_paths(root, base) if base else None
    return environments if paths is None else [item for item in environments if item.is_changed(paths)]


def _describe(environment: RepositoryEnvironment, run: WorkflowRun) -> dict[str, str]:
    """Return a matrix entry; the roles are empty until `orchestrator bootstrap github` has set a variable."""
    from orchestrator.bootstrap import workflow_roles
    from orchestrator.bootstrap.github_settings import PLAN_ROLE_VARIABLE, variable_name

    variables = json.loads(run.environ.get(VARIABLES_VARIABLE) or "{}")
    scope, entry = environment.scope, {"manifests": environment.manifests, "environment": environment.name}
    is_set_up = scope is not None and variable_name(PLAN_ROLE_VARIABLE, environment.name) in variables
    roles = {"plan-role": workflow_roles.PLAN_ROLE, "deploy-role": workflow_roles.DEPLOY_ROLE}
    return entry | {
        key: workflow_roles.role_arn(scope, role) if is_set_up and scope is not None else ""
        for key, role in roles.items()
    }
