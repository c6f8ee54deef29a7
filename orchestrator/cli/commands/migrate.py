"""``orchestrator migrate``: copy existing data into the project."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import ca_option, common_options, data_options, via_option
from orchestrator.cli.value_completion import complete_database
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@click.group("migrate")
def command() -> None:
    """Copy existing data into the project, and verify that it arrived."""


@command.command(
    "database",
    cls=CliCommand,
    examples=(
        "orchestrator migrate database --from postgresql://app@localhost/shop --to main --check",
        "orchestrator migrate database --from postgresql://app@localhost/shop --to main --rehearse --cut-over move.md",
        "orchestrator migrate database --from postgresql://app@localhost/shop --to main",
    ),
)
@click.option(
    "--from",
    "source",
    required=True,
    metavar="URL",
    help="Source database, without a password; pass the password in PGPASSWORD.",
)
@click.option(
    "--to",
    "name",
    required=True,
    metavar="NAME",
    shell_complete=complete_database,
    help="Name of the Database in the manifests.",
)
@click.option("--check", "check_only", is_flag=True, help="Only check and compare; change nothing.")
@via_option
@click.option("--rehearse", is_flag=True, help="Copy into a temporary database on the same server, then drop it.")
@click.option(
    "--jobs", type=click.IntRange(1, 32), default=4, show_default=True, help="Number of tables to copy at once."
)
@click.option(
    "--work",
    type=click.Path(path_type=Path, file_okay=False),
    default=Path(".orchestrator-migration"),
    help="Folder for the dump, which is deleted afterwards.",
)
@ca_option
@click.option(
    "--into-nonempty", is_flag=True, help="If the database already has rows, replace the rows of tables that differ."
)
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the result of the comparison as JSON.",
)
@click.option(
    "--cut-over",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the steps of the cut-over as Markdown, with the durations of this run.",
)
@data_options
@common_options
def database(settings: Settings, source: str, name: str, run_options: RunOptions, **options: Any) -> int:
    """Copy a PostgreSQL database into a Database of the project, and verify the copy.

    Checks versions, extensions, encoding and disk space first. Copies definitions, rows (in parallel), indexes,
    constraints, sequences and large objects, then counts and hashes every table on both sides. If a run is interrupted,
    run the same command again: it copies only what differs. Exits 0 when both sides are equal, 1 otherwise.
    """
    from orchestrator.runs.migrate import MigrateOptions, migrate_database

    password = os.environ.get("PGPASSWORD", "")
    return migrate_database(settings, name, MigrateOptions(source, password, run=run_options, **options))


@command.command(
    "files",
    cls=CliCommand,
    examples=(
        "orchestrator migrate files --from ./uploads --to files --check",
        "orchestrator migrate files --from ./uploads --to files --map products/=product-photos/ --report files.csv",
        "orchestrator migrate files --from s3://old-bucket/uploads/ --to files",
    ),
)
@click.option("--from", "source", required=True, metavar="SOURCE", help="Source folder, or s3://BUCKET/PREFIX.")
@click.option("--to", required=True, metavar="NAME", help="Name of the Bucket in the manifests.")
@click.option("--prefix", default="", metavar="PREFIX", help="Prefix to add to every key in the bucket.")
@click.option(
    "--map",
    "rules",
    multiple=True,
    metavar="OLD=NEW",
    help="Replace OLD with NEW at the beginning of file names (repeatable).",
)
@click.option("--check", "check_only", is_flag=True, help="Only compare; change nothing.")
@click.option(
    "--jobs", type=click.IntRange(1, 64), default=32, show_default=True, help="Number of files to copy at once."
)
@click.option("--overwrite", is_flag=True, help="Also replace objects that differ from their files.")
@click.option(
    "--report",
    type=click.Path(path_type=Path, dir_okay=False),
    metavar="FILE",
    help="Write the result of the comparison as CSV.",
)
@data_options
@common_options
def files(settings: Settings, run_options: RunOptions, overwrite: bool, **options: Any) -> int:
    """Copy existing files into a bucket of the project, and verify that each arrived.

    Compares the SHA-256 of every file with the checksum that S3 computed when it stored the object. Copies missing
    files, but never overwrites an object that was written in the meantime. The content type is detected from the first
    bytes of the file. If a run is interrupted, run the same command again. Nothing is deleted. Exits 0 when the bucket
    contains an identical copy of every file, 1 otherwise.
    """
    from orchestrator.runs.migrate_files import MigrateFilesOptions, migrate_files

    return migrate_files(settings, MigrateFilesOptions(should_overwrite=overwrite, run=run_options, **options))
