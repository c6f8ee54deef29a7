"""``orchestrator migrate``: copy existing data into the project."""

from __future__ import annotations

import os
from pathlib import Path

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import common_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings

EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


@click.group("migrate")
def command() -> None:
    """Copy existing data into the project, and prove that it arrived."""


@command.command(
    "database",
    cls=CliCommand,
    examples=(
        "orchestrator migrate database --from postgresql://app@localhost/shop --to main --check",
        "orchestrator migrate database --from postgresql://app@localhost/shop --to main",
    ),
)
@click.option("--from", "source", required=True, metavar="URL", help="Source, without password: set PGPASSWORD.")
@click.option("--to", "name", required=True, metavar="NAME", help="Name of the Database in the manifests.")
@click.option("--check", "check_only", is_flag=True, help="Only check and compare; change nothing.")
@click.option("--jobs", type=click.IntRange(1, 32), default=4, show_default=True, help="Tables copied at once.")
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".orchestrator-migration"),
    help="Folder for the dump, deleted afterwards.",
)
@click.option(
    "--ca", type=EXISTING_FILE, metavar="FILE", help="Certificate authority of the target, such as RDS's bundle."
)
@click.option("--into-nonempty", is_flag=True, help="Replace the rows of tables that differ in a database with rows.")
@click.option(
    "--report", type=click.Path(path_type=Path, dir_okay=False), metavar="FILE", help="Write the proof as JSON."
)
@click.option("--auto-approve", is_flag=True, help="Do not ask for confirmation.")
@run_options
@common_options
def database(  # noqa: PLR0913 - its options
    settings: Settings,
    source: str,
    name: str,
    check_only: bool,
    jobs: int,
    work: Path,
    ca: Path | None,
    into_nonempty: bool,
    report: Path | None,
    auto_approve: bool,
    run_options: RunOptions,
) -> int:
    """Copy a PostgreSQL database into one of the project, and prove it.

    Checks versions, extensions, encoding and disk first. Copies definitions, rows in parallel, indexes, constraints,
    sequences and large objects, then counts and hashes every table on both sides the same way. A run that broke off
    is continued by the same command, which copies only what differs. Exits 0 when both sides are equal, 1 otherwise.
    """
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.migrate import MigrateOptions, migrate_database

    options = MigrateOptions(
        source,
        os.environ.get("PGPASSWORD", ""),
        work,
        jobs,
        str(ca.resolve()) if ca else "",
        into_nonempty,
        check_only,
        report,
        Approval(None, "", auto_approve),
        run_options,
    )
    return migrate_database(settings, name, options)
