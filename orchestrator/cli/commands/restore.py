"""``orchestrator restore``: bring back a database, files, values of a secret, or the ledger of releases."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import ca_option, common_options, data_options, plan_only_option, via_option
from orchestrator.cli.value_completion import complete_database
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@click.group("restore")
def command() -> None:
    """Restore lost data. Deletes nothing."""


@command.command(
    "database",
    cls=CliCommand,
    examples=(
        "orchestrator restore database main --to '2026-11-29 14:05' --plan",
        "orchestrator restore database main --to '2026-11-29 14:05'",
        "orchestrator restore database main --snapshot before-the-import",
        "orchestrator restore database main --undo",
        "orchestrator restore database main --drill",
        "orchestrator restore database main --drill --via vpc     # a database without a public address",
    ),
)
@click.argument("name", metavar="NAME", shell_complete=complete_database)
@click.option("--to", default="", metavar="TIME", help="Restore to this point in time, in UTC: '2026-11-29 14:05'.")
@click.option("--snapshot", default="", metavar="ID", help="Restore this snapshot.")
@click.option("--latest", is_flag=True, help="Restore to the latest point in time that RDS can restore.")
@click.option("--undo", is_flag=True, help="Switch back to the instance that the last restore replaced.")
@click.option("--drill", is_flag=True, help="Restore to a temporary instance, read every row, and delete the instance.")
@plan_only_option
@click.option(
    "--no-verify",
    is_flag=True,
    help="Skip the check: do not connect to the restored database before it replaces the old one.",
)
@ca_option
@via_option
@click.option("--expect", default="", metavar="DIGEST", help="Apply only the plan with this digest.")
@data_options
@common_options
def database(settings: Settings, name: str, drill: bool, undo: bool, no_verify: bool, **options: Any) -> int:
    """Restore a database to a point in time or from a snapshot, or rehearse the restore.

    RDS restores to a new instance. The new instance gets the groups, parameters, deletion protection, tags and backup
    settings of the manifest, and is verified. It then replaces the live instance under the same name and endpoint. The
    live instance is renamed and kept. If the run is killed, run the command again without --to, --snapshot, --latest or
    --undo, or run `orchestrator apply`: it continues. Exits 0 when the database is restored and every service responds,
    1 when a step failed, 4 when a resource is unhealthy afterwards.

    With --drill, the new instance is compared with the live instance and then deleted, and the command exits 4 if data
    is missing in the new instance.
    """
    from orchestrator.runs.restore import RestoreOptions, restore_database
    from orchestrator.runs.restore_drill import DrillOptions, run_drill

    options |= {"should_verify": not no_verify, "run": options.pop("run_options")}
    if not drill:
        return restore_database(settings, name, RestoreOptions(undo=undo, **options))
    if undo or (options["approval"].expected_digest):
        raise click.UsageError("--drill does not change the database, so it cannot be combined with --undo or --expect")
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
@click.option("--prefix", default="", metavar="PREFIX", help="Restore only files whose key starts with this prefix.")
@click.option("--to", required=True, metavar="TIME", help="Restore the files to this point in time, in UTC.")
@click.option("--overwrite", is_flag=True, help="Also replace files that were written after that time.")
@plan_only_option
@data_options
@common_options
def files(settings: Settings, run_options: RunOptions, overwrite: bool, **options: Any) -> int:
    """Restore files of a bucket from their versions.

    Copies each version back only if nobody has written the file since then: newer files are kept. Nothing is deleted.
    If a run is interrupted, run the same command again. Exits 4 if files are still missing afterwards.
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
    "--version",
    default="",
    metavar="ID",
    help="Version id, its first characters, or `previous`. Default: list the versions.",
)
@click.option("--key", "keys", multiple=True, metavar="KEY", help="Restore only the value of this key (repeatable).")
@plan_only_option
@data_options
@common_options
def secret(settings: Settings, name: str, run_options: RunOptions, **options: Any) -> int:
    """Restore values of a secret from an earlier version, or cancel its deletion.

    Writes the earlier values as a new version, and never shows a value. Does not restore values that come from the
    manifests or a database: with an old database password, the application could not connect. Services receive the
    values with their next deployment. AWS keeps about a hundred versions.
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
@click.option("--version", default="", metavar="ID", help="Restore this object version of the ledger.")
@click.option(
    "--to", default="", metavar="TIME", help="Restore the version that was current at this point in time, in UTC."
)
@click.option("--list", "list_only", is_flag=True, help="List the versions, the newest first.")
@plan_only_option
@data_options
@common_options
def ledger(settings: Settings, run_options: RunOptions, **options: Any) -> int:
    """Restore the ledger of releases from the versions that the release bucket keeps.

    Without an option, restores the newest earlier version that can be read. The current ledger is kept as a version.
    The ledger determines which releases can be restored and what is pinned, not what runs now.
    """
    from orchestrator.runs.restore_ledger import RestoreLedgerOptions, restore_ledger

    return restore_ledger(settings, RestoreLedgerOptions(run=run_options, **options))
