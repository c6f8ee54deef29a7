"""``orchestrator restore``: bring back a database, files, values of a secret, or the ledger of releases."""

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


@command.command(
    "secret",
    cls=CliCommand,
    examples=(
        "orchestrator restore secret app",
        "orchestrator restore secret app --version previous --plan",
        "orchestrator restore secret app --version previous --key Stripe:Key",
    ),
)
@click.argument("name", metavar="NAME")
@click.option(
    "--version", default="", metavar="ID", help="Version, or its beginning, or `previous`. Default: list them."
)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Only the value of this key; repeat it for several.")
@plan_only_option
@data_options
@common_options
def secret(settings: Settings, name: str, run_options: RunOptions, **options: Any) -> int:
    """Restore values of a secret from an earlier version, or cancel its deletion.

    Writes the earlier values over today's as a new version, never shows one, and leaves alone what the manifests or a
    database say: an old database password would lock the application out. Services receive the values with their next
    deployment. AWS keeps about a hundred versions.
    """
    from orchestrator.runs.restore_secret import RestoreSecretOptions, restore_secret

    return restore_secret(settings, name, RestoreSecretOptions(run=run_options, **options))


@command.command(
    "ledger",
    cls=CliCommand,
    examples=(
        "orchestrator restore ledger --list",
        "orchestrator restore ledger --plan",
        "orchestrator restore ledger --to '2026-11-29 14:05'",
    ),
)
@click.option("--version", default="", metavar="ID", help="Version of the object in the release bucket.")
@click.option("--to", default="", metavar="TIME", help="The version of this moment, in UTC.")
@click.option("--list", "list_only", is_flag=True, help="List the versions, the newest first.")
@plan_only_option
@data_options
@common_options
def ledger(settings: Settings, run_options: RunOptions, **options: Any) -> int:
    """Restore the ledger of releases from the versions that the release bucket keeps.

    Without a choice, the newest version before today's that can be read. The ledger in use stays as a version. It
    decides which releases can come back and what is held back, not what runs now.
    """
    from orchestrator.runs.restore_ledger import RestoreLedgerOptions, restore_ledger

    return restore_ledger(settings, RestoreLedgerOptions(run=run_options, **options))
