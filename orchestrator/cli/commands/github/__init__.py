"""``orchestrator github``: what the workflows call.  Each verb is a verb of the command line, told to GitHub."""

from __future__ import annotations

import importlib

import click

COMMANDS = {
    "validate": "Check the manifests; set outputs for the steps that follow.",
    "plan": "Plan; tell the pull request.",
    "deploy": "Deploy what was reviewed; tell GitHub how it ended.",
    "drift": "Look for drift; keep an issue about it; accept or revert it.",
    "rollback": "Go back to an earlier release; tell GitHub how it ended.",
}


class LazyGroup(click.Group):
    """A group whose commands are modules of this package, imported when they are called."""

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
    """Plan, deploy, go back and look for drift in GitHub Actions.

    Each verb does what the verb without `github` does, and tells GitHub.

    Reads the surroundings of GitHub Actions (GITHUB_REPOSITORY, GITHUB_EVENT_PATH, GITHUB_TOKEN ...). The workflows in
    .github/workflows call it; on a laptop use the verbs without `github`.
    """
