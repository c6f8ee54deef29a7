"""``orchestrator restore``: bring back a database or files."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import common_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings

EXISTING_FILE = click.Path(path_type=Path, dir_okay=False, exists=True)


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
    ),
)
@click.argument("name", metavar="NAME")
@click.option("--to", default="", metavar="TIME", help="Restore the rows of this moment, in UTC: '2026-11-29 14:05'.")
@click.option("--snapshot", default="", metavar="ID", help="Restore this snapshot.")
@click.option("--latest", is_flag=True, help="Restore the latest moment that RDS can restore.")
@click.option("--undo", is_flag=True, help="Go back to the instance that the last restore has replaced.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what would change; change nothing.")
@click.option("--no-verify", is_flag=True, help="Do not connect to the restored database before it is used.")
@click.option(
    "--ca", type=EXISTING_FILE, metavar="FILE", help="Certificate authority of the server, such as RDS's bundle."
)
@click.option("--expect", default="", metavar="DIGEST", help="Apply only the plan with this digest.")
@click.option("--auto-approve", is_flag=True, help="Do not ask for confirmation.")
@run_options
@common_options
def database(  # noqa: PLR0913 - its options
    settings: Settings,
    name: str,
    to: str,
    snapshot: str,
    latest: bool,
    undo: bool,
    plan_only: bool,
    no_verify: bool,
    ca: Path | None,
    expect: str,
    auto_approve: bool,
    run_options: RunOptions,
) -> int:
    """Restore a database to a moment or from a snapshot.

    RDS restores to a new instance. It gets the groups, parameters, protection, tags and backups of the manifest, is
    verified, and takes the name, and so the endpoint, of the instance in use, which is kept under another name. If the
    run is killed, run the same command without a choice, or `orchestrator apply`: it continues. Exits 0 when the
    database is restored and every service answers, 1 when a step failed, 4 when something is unhealthy afterwards.
    """
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.restore import RestoreOptions, restore_database

    ca_file = str(ca.resolve()) if ca else ""
    approval = Approval(None, expect, auto_approve)
    options = RestoreOptions(to, snapshot, latest, undo, not no_verify, ca_file, plan_only, approval, run_options)
    return restore_database(settings, name, options)


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
@click.option("--plan", "plan_only", is_flag=True, help="Show what would come back; change nothing.")
@click.option("--auto-approve", is_flag=True, help="Do not ask for confirmation.")
@run_options
@common_options
def files(  # noqa: PLR0913 - its options
    settings: Settings,
    bucket: str,
    prefix: str,
    to: str,
    overwrite: bool,
    plan_only: bool,
    auto_approve: bool,
    run_options: RunOptions,
) -> int:
    """Restore files of a bucket from their versions.

    Copies each version back on condition that nobody has written the file since: what is newer stays. Nothing is
    deleted. A run that broke off is continued by the same command. Exits 4 if files are still missing afterwards.
    """
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.restore_files import RestoreFilesOptions, restore_files

    approval = Approval(None, "", auto_approve)
    options = RestoreFilesOptions(bucket, to, prefix, overwrite, plan_only, approval, run_options)
    return restore_files(settings, options)
