"""``orchestrator blame``: name the component at fault in a rolled-back release."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings


@cli_command("blame", "orchestrator blame containerservice.api")
@click.argument("components", metavar="COMPONENT...", nargs=-1, required=True)
@common_options
def command(settings: Settings, components: tuple[str, ...]) -> int:
    """Name the component at fault in a rolled-back release.

    Deploys skip everything that the rollback pinned until one of the COMPONENTs changes, and then deploy the
    whole commit. If a deploy cannot determine which component is at fault, it stops with exit code 6 and asks you to
    run this command.
    """
    from msgspec.structs import replace

    from orchestrator.problems import ExitCode, Problem, Problems
    from orchestrator.release import pins
    from orchestrator.runs.release_session import open_session

    ledger_store = open_session(settings).store
    pinned = {pin.part.partition(":")[2] for pin in ledger_store.read().pins}
    if unknown := sorted(set(components) - pinned):
        hint = f"pinned components: {', '.join(sorted(pinned)) or 'none'}"
        raise Problems([Problem(f"{component} is not pinned", hint=hint) for component in unknown])
    ledger_store.write(lambda ledger: replace(ledger, pins=pins.blame(ledger.pins, components)))
    settings.terminal.print_out(
        f"Everything that was rolled back stays pinned until {' or '.join(sorted(set(components)))} changes."
    )
    return ExitCode.OK
