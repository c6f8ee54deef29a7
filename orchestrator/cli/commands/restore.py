"""``orchestrator restore``: bring back a database or files."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import ca_option, common_options, data_options, plan_only_option
from orchestrator.cli.value_completion import complete_database
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@click.group("restore")
def command() -> None:
    """Bring back data that was lost. Nothing is deleted by it."""


@command.command(
    "database",
    cls=CliCommand,
    examples=(
        "orchestrator restore database main --to '2026-11-29 14:05' --plan",
        "orchestrator restore database main --to '2026-11-29 14:05'",
        "orchestrator restore database main --snapshot before-the-import",
        "orchestrator restore database main --undo",
        "orchestrator restore database main --drill",
    ),
)
@click.argument("name", metavar="NAME", shell_complete=complete_database)
@click.option("--to", default="", metavar="TIME", help="Restore the rows of this moment, in UTC: '2026-11-29 14:05'.")
@click.option("--snapshot", default="", metavar="ID", help="Restore this snapshot.")
@click.option("--latest", is_flag=True, help="Restore the latest moment that RDS can restore.")
@click.option("--undo", is_flag=True, help="Go back to the instance that the last restore has replaced.")
@click.option("--drill", is_flag=True, help="Restore to a throwaway instance, read every row, and delete it.")
@plan_only_option
@click.option("--no-verify", is_flag=True, help="Do not connect to the restored database before it is used.")
@ca_option
@click.option("--expect", default="", metavar="DIGEST", help="Apply only the plan with this digest.")
@data_options
@common_options
def database(settings: Settings, name: str, drill: bool, undo: bool, no_verify: bool, **options: Any) -> int:
    """Restore a database to a moment or from a snapshot, or rehearse that.

    RDS restores to a new instance. It gets the groups, parameters, protection, tags and backups of the manifest, is
    verified, and takes the name, and so the endpoint, of the instance in use, which is kept under another name. If the
    run is killed, run the same command without a choice, or `orchestrator apply`: it continues. Exits 0 when the
    database is restored and every service answers, 1 when a step failed, 4 when something is unhealthy afterwards.

    With --drill, the new instance is compared with the one in use and deleted. Exits 4 if anything is missing in it.
    """
    from orchestrator.runs.restore import RestoreOptions, restore_database
    from orchestrator.runs.restore_drill import DrillOptions, run_drill

    options |= {"should_verify": not no_verify, "run": options.pop("run_options")}
    if not drill:
        return restore_database(settings, name, RestoreOptions(undo=undo, **options))
    if undo or (options["approval"].expected_digest):
        raise click.UsageError("--drill changes nothing of the database, so it takes neither --undo nor --expect")
    options.pop("latest")  # what a drill restores without a choice
    return run_drill(settings, name, DrillOptions(**options))


@command.command(
    "files",
    cls=CliCommand,
    examples=(
        "orchestrator restore files --bucket files --prefix sale-photos/ --to '2026-11-29 14:05' --plan",
        "orchestrator restore files --bucket files --prefix sale-photos/ --to '2026-11-29 14:05'",
    ),
)
@click.option("--bucket", required=True, metavar="NAME", help="Name of the Bucket in the manifests.")
@click.option("--prefix", default="", metavar="PREFIX", help="Only files whose key begins so.")
@click.option("--to", required=True, metavar="TIME", help="Restore the files of this moment, in UTC.")
@click.option("--overwrite", is_flag=True, help="Also replace files that were written since.")
@plan_only_option
@data_options
@common_options
def files(settings: Settings, run_options: RunOptions, overwrite: bool, **options: Any) -> int:
    """Restore files of a bucket from their versions.

    Copies each version back on condition that nobody has written the file since: what is newer stays. Nothing is
    deleted. A run that broke off is continued by the same command. Exits 4 if files are still missing afterwards.
    """
    from orchestrator.runs.restore_files import RestoreFilesOptions, restore_files

    return restore_files(settings, RestoreFilesOptions(should_overwrite=overwrite, run=run_options, **options))
