"""``orchestrator bootstrap``: let the workflows of a repository in, once, with an administrator's credentials."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.client import GitHub


@verb(
    "bootstrap",
    "orchestrator bootstrap github --plan",
    "orchestrator bootstrap github -e prod",
)
@click.argument("what", type=click.Choice(["github"]))
@click.option("--plan", "--print", "only", is_flag=True, help="Only show what would be made; change nothing.")
@click.option("--auto-approve", is_flag=True, help="Do not ask.")
@common
def command(settings: Settings, what: str, only: bool, auto_approve: bool) -> int:
    """Let GitHub's workflows plan and deploy.

    Makes, with an administrator's credentials: the OIDC provider (or takes the one that is there), a role for plans
    that only reads, a role for deploys of the main branch, both with what these manifests need and no more, a
    permissions boundary, and the variables and the environment of the repository. Run it again after a component was
    added; it changes what differs and nothing else. The token is that of GITHUB_TOKEN, GH_TOKEN, or `gh auth token`.
    """
    from orchestrator.bootstrap import github_settings as standing
    from orchestrator.bootstrap import workflow_roles
    from orchestrator.planning import pipeline
    from orchestrator.problems import Exit
    from orchestrator.runs import apply, plan_output
    from orchestrator.runs.approval import Approval

    desired = pipeline.desired(settings.manifests, settings.environment, shipping=False)
    project = next(one for one in desired.components if one.kind == "Project")
    workflow_roles.refuse_unbounded(project, desired)
    api = client(str(project.spec["repository"]))
    repository = standing.repository(api)
    planned = pipeline.plan(workflow_roles.expand(desired, repository))
    wanted = standing.changes(api, desired.scope, repository.branch)
    terminal = settings.terminal
    plan_output.to(terminal, planned, "full" if settings.verbose else "brief")
    terminal.say("\n".join([f"\nGitHub, {repository.name}:", *(f"  set {each.what}" for each in wanted)]))
    if planned.plan.is_vetoed:
        return Exit.VETOED
    if not wanted and not planned.plan.pending:
        terminal.say("  No changes.")
        return Exit.OK
    if only:
        return Exit.OK
    question = f"Do this in account {planned.plan.account} and {repository.name}? Only 'yes' is accepted:"
    Approval(automatic=auto_approve).obtain(terminal, question, "yes")
    code = Exit.OK
    if planned.plan.pending:
        code = Exit(apply.carry_out(planned, settings, 16, settings.command("bootstrap", what)))
    if code is not Exit.OK:
        terminal.tell("GitHub was left as it is, because AWS is not done.")
        return code
    for done in standing.apply(api, wanted):
        terminal.say(f"Set {done}")
    return Exit.OK


def client(repository: str, attempts: int | None = None) -> GitHub:
    """GitHub as a person's own token may see it; GITHUB_API_URL leads elsewhere; ``attempts``: tries of a request.

    Raises Problems where there is no token.
    """
    from orchestrator.github.client import API, ATTEMPTS, GitHub

    api = os.environ.get("GITHUB_API_URL", "") or API
    return GitHub(repository, token(), api=api, attempts=attempts or ATTEMPTS)


def token() -> str:
    """The token of the surroundings; shown nowhere.

    Raises Problems where there is none.
    """
    from orchestrator import shell
    from orchestrator.problems import Problems

    for name in ("GITHUB_TOKEN", "GH_TOKEN"):
        if found := os.environ.get(name):
            return found
    if shell.which("gh"):
        ran = shell.run(["gh", "auth", "token"], timeout=20)
        if ran.status == 0 and ran.output.strip():
            return ran.output.strip()
    hint = "log in with `gh auth login`, or set GITHUB_TOKEN to one that may administer the repository"
    raise Problems.one("there is no token for GitHub; nothing was done", hint=hint)
