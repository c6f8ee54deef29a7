"""``orchestrator github``: the commands that the workflows call; each runs a command and reports to GitHub."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "changed": "List the environments whose inputs changed, for a matrix.",
    "gather": "Combine the plans of a matrix in one comment.",
    "validate": "Check the manifests, and set outputs for later steps.",
    "plan": "Plan, and comment on the pull request.",
    "build": "Build the sites, without credentials.",
    "deploy": "Deploy the reviewed plan, and report to GitHub.",
    "drift": "Check for drift and report it in an issue, or accept or revert it.",
    "drill": "Run the restore drills that are due.",
    "rollback": "Roll back to an earlier release, and report to GitHub.",
    "promote": "Promote a release of another environment, and report to GitHub.",
}


class LazyGroup(click.Group):
    """A group that imports the module of a command when the command is called."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        return list(COMMANDS)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:
        if cmd_name not in COMMANDS:
            return None
        command: click.Command = importlib.import_module(f"orchestrator.cli.commands.github.{cmd_name}").command
        return command

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        with formatter.section("Commands"):
            formatter.write_dl(list(COMMANDS.items()))


@click.group("github", cls=LazyGroup)
def command() -> None:
    """Plan, deploy, promote, roll back and check drift in GitHub Actions.

    Each command does what the command without `github` does, and reports to GitHub.

    Reads the environment of GitHub Actions (GITHUB_REPOSITORY, GITHUB_EVENT_PATH, GITHUB_TOKEN ...). The workflows in
    .github/workflows call these commands; on a laptop use the commands without `github`.
    """
