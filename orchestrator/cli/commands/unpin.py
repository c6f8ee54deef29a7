"""``orchestrator unpin``: let go of what a rollback holds back."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings


@cli_command(
    "unpin",
    "orchestrator unpin",
    "orchestrator unpin image:containerservice.api",
)
@click.argument("parts", metavar="[PART]...", nargs=-1)
@project_options
def command(settings: Settings, parts: tuple[str, ...]) -> int:
    """Unpin what a rollback pinned, so that the next deploy includes it.

    Unpins the given PARTs (as `orchestrator releases` lists them) and everything else that the same rollback pinned.
    Without a PART, unpins everything.
    """
    from orchestrator.problems import ExitCode
    from orchestrator.runs.unpin import unpin

    unpin(settings, parts)
    return ExitCode.OK
