"""``orchestrator blame``: say which component of a rolled back release was at fault."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings


@cli_command("blame", "orchestrator blame containerservice.api")
@click.argument("components", metavar="COMPONENT...", nargs=-1, required=True)
@common_options
def command(settings: Settings, components: tuple[str, ...]) -> int:
    """Say which component of a rolled back release was at fault.

    What a rollback pinned is held back until a COMPONENT changes; then all of its commit is released. A deploy that
    cannot know it stops with exit code 6 and asks for this.
    """
    from msgspec.structs import replace

    from orchestrator.problems import ExitCode, Problem, Problems
    from orchestrator.release import pins
    from orchestrator.runs import release

    ledger_store = release.open_session(settings).store
    pinned = {pin.part.partition(":")[2] for pin in ledger_store.read().pins}
    if unknown := sorted(set(components) - pinned):
        hint = f"pinned components: {', '.join(sorted(pinned)) or 'none'}"
        raise Problems([Problem(f"{component} is not pinned", hint=hint) for component in unknown])
    ledger_store.write(lambda ledger: replace(ledger, pins=pins.blame(ledger.pins, components)))
    settings.terminal.print_out(
        f"A change of {' and '.join(sorted(set(components)))} releases what was rolled back with it. "
        "Until then, deploys hold it back."
    )
    return ExitCode.OK
