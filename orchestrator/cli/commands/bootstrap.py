"""``orchestrator bootstrap``: set up AWS roles and GitHub settings for the workflows."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, project_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.bootstrap.github_settings import Setting
    from orchestrator.bootstrap.workflow_roles import Repository
    from orchestrator.github.client import GitHub
    from orchestrator.planning.plan import PreparedPlan
    from orchestrator.runs.terminal import Terminal
    from orchestrator.vocabulary import DesiredState, Scope


@cli_command(
    "bootstrap",
    "orchestrator bootstrap github --plan",
    "orchestrator bootstrap github --plan --format json",
    "orchestrator bootstrap github -e prod",
)
@click.argument("provider", type=click.Choice(["github"]))
@click.option("--plan", "--print", "plan_only", is_flag=True, help="Show what would be created; change nothing.")
@format_option(
    "text",
    "json",
    help_text="Format of --plan. `json` includes the complete policies, and needs neither a token nor AWS credentials.",
    name="plan_format",
)
@click.option("--auto-approve", is_flag=True, help="Do not ask for confirmation.")
@click.option(
    "--without-environment",
    is_flag=True,
    help="Let every job on the default branch deploy (for private repositories on GitHub's Free plan).",
)
@project_options
def command(
    settings: Settings,
    provider: str,
    plan_only: bool,
    plan_format: str,
    auto_approve: bool,
    without_environment: bool,
) -> int:
    """Set up AWS roles and GitHub settings for the workflows.

    Creates the OIDC provider (or uses the existing one), a read-only role for plans, a role for deploys of the default
    branch, a permissions boundary, and the variables and the environment of the repository. Requires an administrator's
    credentials. Both roles get only the permissions that these manifests need. After you add a component, run the
    command again: it changes only what differs. Uses the token in GITHUB_TOKEN or GH_TOKEN, or the output of `gh auth
    token`.
    """
    from orchestrator.bootstrap import github_settings, workflow_roles
    from orchestrator.planning import pipeline
    from orchestrator.problems import ExitCode
    from orchestrator.runs import plan_output

    if plan_format == "json" and not plan_only:
        raise click.UsageError("--format json requires --plan")
    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    project = next(component for component in desired.components if component.kind == "Project")
    workflow_roles.require_permissions_boundary(project, desired)
    if plan_format == "json":
        return _print_access(settings, desired, str(project.spec["repository"]), without_environment)
    github = github_client(str(project.spec["repository"]))
    repository = _fetch_repository(github, desired.scope, without_environment=without_environment)
    planned = pipeline.plan(workflow_roles.expand(desired, repository))
    setting_changes = github_settings.list_pending_settings(github, desired.scope, repository)
    terminal = settings.terminal
    plan_output.print_plan(terminal, planned, "full" if settings.verbose else "brief")
    descriptions = [f"  set {setting_change.description}" for setting_change in setting_changes]
    terminal.print_out("\n".join([f"\nGitHub, {repository.name}:", *descriptions]))
    if planned.plan.is_vetoed:
        return ExitCode.VETOED
    if not setting_changes and not planned.plan.pending_changes:
        terminal.print_out("  No changes.")
        return ExitCode.OK
    if plan_only:
        return ExitCode.OK
    return _apply(settings, planned, github, setting_changes, auto_approve)


def _apply(
    settings: Settings, planned: PreparedPlan, github: GitHub, setting_changes: list[Setting], auto_approve: bool
) -> int:
    """Ask, then apply the changes in AWS and on GitHub.  Raises Problems."""
    from orchestrator.problems import ExitCode
    from orchestrator.runs import apply
    from orchestrator.runs.approval import Approval

    terminal, plan = settings.terminal, planned.plan
    question = f"Make these changes in account {plan.account} and in {github.repository}? Only 'yes' is accepted:"
    Approval(is_automatic=auto_approve).confirm(terminal, question, "yes")
    # The environment first: GitHub may refuse it, and a role must not trust one that has no branch policy.
    _apply_settings(terminal, github, [change for change in setting_changes if change.is_protection])
    if plan.pending_changes:
        code = ExitCode(apply.apply_with_progress(planned, settings, 16, settings.command_line("bootstrap", "github")))
        if code is not ExitCode.OK:
            terminal.print_err("The GitHub variables were not set, because not all changes in AWS were made.")
            return code
    _apply_settings(terminal, github, [change for change in setting_changes if not change.is_protection])
    return ExitCode.OK


def _print_access(settings: Settings, desired: DesiredState, repository_name: str, without_environment: bool) -> int:
    """Print policies as JSON, and with a token also the roles' trust and the pending settings.  Raises Problems."""
    import json

    from orchestrator.bootstrap import github_settings, workflow_roles
    from orchestrator.bootstrap.workflow_roles import AccessDocument, Repository
    from orchestrator.problems import ExitCode

    if find_github_token() is None:
        access = workflow_roles.describe_access(workflow_roles.expand(desired, Repository(repository_name, 0, 0)))
        document: AccessDocument = {"policies": access["policies"]}
        settings.terminal.print_err(
            "Trust policies and GitHub settings are omitted, because no GitHub token was found."
        )
    else:
        github = github_client(repository_name)
        repository = _fetch_repository(github, desired.scope, without_environment=without_environment)
        pending = github_settings.list_pending_settings(github, desired.scope, repository)
        access = workflow_roles.describe_access(workflow_roles.expand(desired, repository))
        document = {**access, "settings": [setting.description for setting in pending]}
    settings.terminal.print_out(json.dumps(document, indent=2, sort_keys=True))
    return ExitCode.OK


def _fetch_repository(github: GitHub, scope: Scope, *, without_environment: bool) -> Repository:
    """Return the repository.  Raises Problems, also if AWS would not recognise its workflows."""
    from msgspec.structs import replace

    from orchestrator.bootstrap import github_settings
    from orchestrator.problems import Problems

    repository = github_settings.add_identity(github, scope, github_settings.fetch_repository(github))
    if problems := github_settings.list_subject_problems(github, repository):
        raise Problems(problems)
    return replace(repository, has_environments=repository.has_environments and not without_environment)


def _apply_settings(terminal: Terminal, github: GitHub, settings: list[Setting]) -> None:
    """Apply settings on GitHub, and print each.  Raises Problems."""
    from orchestrator.bootstrap import github_settings

    for applied_setting in github_settings.apply(github, settings):
        terminal.print_out(f"Set {applied_setting}")


def github_client(repository: str, attempts: int | None = None) -> GitHub:
    """Return a GitHub client that uses the person's own token; GITHUB_API_URL overrides the address.

    ``attempts`` is the maximum number of attempts per request.  Raises Problems if there is no token.
    """
    from orchestrator.github.client import DEFAULT_API_URL, MAX_ATTEMPTS, GitHub

    api_url = os.environ.get("GITHUB_API_URL", "") or DEFAULT_API_URL
    return GitHub(repository, github_token(), api_url=api_url, max_attempts=attempts or MAX_ATTEMPTS)


def open_public_github(repository: str) -> GitHub:
    """Return a client that reads a repository, also without a token if the repository is public."""
    from orchestrator.github.client import DEFAULT_API_URL, GitHub

    api_url = os.environ.get("GITHUB_API_URL", "") or DEFAULT_API_URL
    return GitHub(repository, find_github_token() or "", api_url=api_url, max_attempts=2)


def github_token() -> str:
    """Return the token.  Raises Problems if there is none."""
    from orchestrator.problems import Problems

    if token := find_github_token():
        return token
    hint = "log in with `gh auth login`, or set GITHUB_TOKEN to a token with administration rights on the repository"
    raise Problems.from_message("no GitHub token found; nothing was changed", hint=hint)


def find_github_token() -> str | None:
    """Return the token from the environment, or from ``gh``, or None.  It is never printed."""
    from orchestrator import shell

    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        if variable_value := os.environ.get(name):
            return variable_value
    if shell.which("gh"):
        result = shell.run(["gh", "auth", "token"], timeout=20)
        if result.exit_code == 0 and result.output.strip():
            return result.output.strip()
    return None
