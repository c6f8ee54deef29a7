"""``orchestrator verify``: check that data belongs together."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import ca_option, project_options, via_option
from orchestrator.runs.settings import Settings


@click.group("verify")
def command() -> None:
    """Check that a database and its files match. Changes nothing."""


@command.command(
    "data",
    cls=CliCommand,
    examples=("orchestrator verify data main", "orchestrator verify data main --report dangling.csv"),
)
@click.argument("name", metavar="NAME")
@ca_option
@via_option
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write every finding as CSV."
)
@project_options
def data(settings: Settings, name: str, ca_file: str, via: str, report: Path | None) -> int:
    """Compare the files that the Database NAME refers to with the files in its buckets, in both directions.

    `fileReferences` in the manifest defines which columns contain keys of which bucket. Exits 4 if a row refers to a
    missing file. Files that no row refers to are only listed.
    """
    from orchestrator.runs.verify_data import verify_data

    return verify_data(settings, name, ca_file, report, via)
