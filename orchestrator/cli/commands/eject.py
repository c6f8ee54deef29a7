"""``orchestrator eject``: write what Terraform or CloudFormation needs to take a stack over."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings


@cli_command("eject", "orchestrator eject -e prod", "orchestrator eject -e prod --to ../infrastructure")
@click.option(
    "--to",
    "folder",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path("ejected"),
    show_default=True,
    help="Output folder. It must be empty or must not exist yet.",
)
@project_options
def command(settings: Settings, folder: Path) -> int:
    """Write the files that import a stack into Terraform or CloudFormation.

    Finds every AWS resource that has the environment's ownership mark, and writes Terraform `import` blocks, a
    CloudFormation template for an import, and a README with the steps. Changes nothing in AWS. No file contains a
    secret value. Exits 1 if a resource could not be read.
    """
    from orchestrator.problems import ExitCode
    from orchestrator.quantities import format_count
    from orchestrator.runs import eject

    inventory = eject.export(settings, folder)
    terminal = settings.terminal
    count = format_count(len(inventory.resources), "resource")
    terminal.print_out(f"Wrote {count} of {inventory.scope.owner} to {folder}.")
    terminal.print_out(f"Read {folder / 'README.md'} for the next steps. Nothing was changed in AWS.")
    for item in inventory.skipped:
        terminal.print_err(f"Not exported: {item.address}: {item.reason}")
    unread = [item for item in inventory.skipped if item.reason.startswith("could not be read")]
    return ExitCode.FAILED if unread else ExitCode.OK
