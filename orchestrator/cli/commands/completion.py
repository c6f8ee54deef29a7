"""``orchestrator completion``: the shell's side of tab completion."""

from __future__ import annotations

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings


@verb(
    "completion",
    'eval "$(orchestrator completion bash)"     # in ~/.bashrc',
    'eval "$(orchestrator completion zsh)"      # in ~/.zshrc',
    "orchestrator completion fish > ~/.config/fish/completions/orchestrator.fish",
)
@click.argument("shell", type=click.Choice(["bash", "zsh", "fish"]))
@common
def command(settings: Settings, shell: str) -> None:
    """Print the script that completes commands in a shell."""
    from click.shell_completion import get_completion_class

    from orchestrator.cli.main import cli

    kind = get_completion_class(shell)
    assert kind is not None
    script = kind(cli, {}, "orchestrator", "_ORCHESTRATOR_COMPLETE")
    settings.terminal.say(script.source_template % script.source_vars())
