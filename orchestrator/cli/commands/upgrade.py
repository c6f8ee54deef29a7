"""``orchestrator upgrade``: compare the versions in use with the published ones; upgrade a database."""

from __future__ import annotations

from typing import Any

import click

from orchestrator.cli.command import CliCommand, CliGroup
from orchestrator.cli.options import (
    ca_option,
    common_options,
    data_options,
    format_option,
    plan_only_option,
    via_option,
)
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@click.group(
    "upgrade",
    cls=CliGroup,
    invoke_without_command=True,
    examples=(
        "orchestrator upgrade",
        "orchestrator upgrade --check     # exits 2 if there is a newer version",
        "orchestrator upgrade --repository OWNER/orchestrator --format json",
        "orchestrator upgrade database main --to 17 --rehearse",
    ),
)
@click.option("--check", is_flag=True, help="Exit 2 if there is a newer version.")
@click.option(
    "--repository",
    default="",
    metavar="OWNER/NAME",
    help="Repository of the orchestrator; default: the one that the workflows call.",
)
@format_option("text", "json")
@common_options
def command(settings: Settings, check: bool, repository: str, output_format: str) -> int:
    """Compare the versions in use with the published versions, or upgrade a database.

    Lists the installed version, the version to which the workflows of this checkout are pinned, the newer releases, and
    the commands to run once according to their release notes. Changes nothing: to upgrade, open a pull request that
    changes the pins. `upgrade database` upgrades a database to another major version.
    """
    if click.get_current_context().invoked_subcommand is not None:
        return 0
    from orchestrator import canonical_json
    from orchestrator.cli.commands.bootstrap import open_public_github
    from orchestrator.doctor import upgrade_check
    from orchestrator.problems import ExitCode

    root = settings.manifests.resolve().parent
    report = upgrade_check.check_upgrade(root, repository, open_public_github)
    if output_format == "json":
        settings.terminal.print_out(canonical_json.dump(report).decode())
    else:
        settings.terminal.print_out(upgrade_check.render_text(report))
    return ExitCode.CHANGES if check and not report.is_current else ExitCode.OK


@command.command(
    "database",
    cls=CliCommand,
    examples=(
        "orchestrator upgrade database main --to 17 --rehearse",
        "orchestrator upgrade database main --plan",
        "orchestrator upgrade database main --now",
    ),
)
@click.argument("name", metavar="NAME")
@click.option("--to", default="", metavar="VERSION", help="Major version; default: the version in the manifest.")
@click.option(
    "--rehearse", is_flag=True, help="Upgrade a restored temporary instance, measure the time, and delete the instance."
)
@click.option("--now", "is_immediate", is_flag=True, help="Upgrade immediately, not in the maintenance window.")
@plan_only_option
@click.option("--no-verify", is_flag=True, help="Do not connect to the database.")
@ca_option
@via_option
@data_options
@common_options
def database(
    settings: Settings,
    name: str,
    to: str,
    rehearse: bool,
    is_immediate: bool,
    no_verify: bool,
    run_options: RunOptions,
    **options: Any,
) -> int:
    """Upgrade a database to the major version of its manifest, or rehearse the upgrade.

    Checks what RDS would reject, takes a snapshot, upgrades in place, collects statistics, and compares tables, rows
    and definitions with those before the upgrade. An in-place upgrade cannot be undone: the plan shows how to restore
    the snapshot. If a run is killed, run the same command again, or `orchestrator apply`, to finish it. Exits 4 if data
    is missing afterwards.
    """
    from orchestrator.runs.restore_drill import DrillOptions, run_drill
    from orchestrator.runs.upgrade_database import UpgradeOptions, upgrade_database

    options |= {"should_verify": not no_verify, "run": run_options}
    if not rehearse:
        return upgrade_database(settings, name, UpgradeOptions(to, is_immediate, **options))
    if not to:
        raise click.UsageError("--rehearse requires --to VERSION")
    return run_drill(settings, name, DrillOptions(upgrade_to=to, **options))
