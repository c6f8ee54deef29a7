"""``orchestrator unlock``: free the lock of a run that hangs or died."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings


@cli_command("unlock", "orchestrator unlock -e prod --reason 'the runner was shut down'")
@click.option("--reason", required=True, help="Why; recorded with your name.")
@project_options
def command(settings: Settings, reason: str) -> int:
    """Free the lock of a run that hangs or died.

    A lock expires within two minutes of its run's end, so this is for a run that hangs, and for whoever cannot wait. A
    run that still goes on stops before its next request to AWS. Works without the state service.
    """
    from orchestrator.problems import ExitCode
    from orchestrator.runs.unlock import unlock

    unlock(settings, reason)
    return ExitCode.OK
