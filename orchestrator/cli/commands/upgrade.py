"""``orchestrator upgrade``: compare the versions in use with the published ones."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options, format_option
from orchestrator.runs.settings import Settings


@cli_command(
    "upgrade",
    "orchestrator upgrade",
    "orchestrator upgrade --check     # exits 2 if there is a newer version",
    "orchestrator upgrade --repository OWNER/orchestrator --format json",
)
@click.option("--check", is_flag=True, help="Exit 2 if there is a newer version.")
@click.option(
    "--repository", default="", metavar="OWNER/NAME", help="Repository of the tool; default: that of the workflows."
)
@format_option("text", "json")
@common_options
def command(settings: Settings, check: bool, repository: str, output_format: str) -> int:
    """Compare the versions in use with the published ones.

    Names the installed version, the one that the workflows of this checkout are pinned to, the newer releases, and the
    commands that their notes ask to run once. Changes nothing: an upgrade is a pull request that changes the pins.
    """
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
