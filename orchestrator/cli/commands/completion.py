"""``orchestrator completion``: print the shell script for tab completion."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings

KEYS_WITH_COLONS = "COMP_WORDBREAKS=${COMP_WORDBREAKS//:/}"
"""Bash splits words at colons otherwise, and a secret's key is `Stripe:Key`."""


@cli_command(
    "completion",
    'eval "$(orchestrator completion bash)"     # in ~/.bashrc',
    'eval "$(orchestrator completion zsh)"      # in ~/.zshrc',
    "orchestrator completion fish > ~/.config/fish/completions/orchestrator.fish",
    streams=True,
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common_options
def command(settings: Settings, shell: str) -> None:
    """Print the completion script for a shell.

    The script completes commands, options, `explain` paths, environments, targets, services, secrets and their keys,
    and release numbers, which it reads from the ledger in AWS.
    """
    from click.shell_completion import get_completion_class

    from orchestrator.cli.main import cli

    completion_class = get_completion_class(shell)
    assert completion_class is not None
    completion = completion_class(cli, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE")
    script = completion.source_template % completion.source_vars()
    settings.terminal.print_out(f"{script}\n{KEYS_WITH_COLONS}" if shell == "bash" else script)
