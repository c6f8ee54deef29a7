"""``orchestrator unlock``: free the lock of a run that hangs or has died."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings


@cli_command("unlock", "orchestrator unlock -e prod --reason 'the runner was shut down'")
@click.option("--reason", required=True, help="Reason for the unlock; recorded with your name.")
@project_options
def command(settings: Settings, reason: str) -> int:
    """Release the lock of a run that is stuck or was killed.

    A lock expires automatically within two minutes after its run was killed. Use this command if the run is stuck, or
    if you cannot wait. A run that is still active stops before its next request to AWS. Works without the state
    service.
    """
    from orchestrator.problems import ExitCode
    from orchestrator.runs.unlock import unlock

    unlock(settings, reason)
    return ExitCode.OK
