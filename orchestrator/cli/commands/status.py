"""``orchestrator status``: show what runs where, and how it is, on one screen."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, project_options
from orchestrator.runs.settings import Settings

WATCH_SECONDS = 10
_CLEAR_SCREEN = "\x1b[2J\x1b[H"


@cli_command(
    "status",
    "orchestrator status -e prod",
    "orchestrator status --watch",
    "orchestrator status --format json | jq -r '.components[].url'",
)
@click.option("--watch", is_flag=True, help=f"Refresh every {WATCH_SECONDS} seconds until you press Ctrl-C.")
@format_option("text", "json")
@project_options
def command(settings: Settings, watch: bool, output_format: str) -> int:
    """Show the current release and the health of every component on one screen.

    Shows the current release, the address and health of every component, drift, the lock, what a rollback pinned,
    and the estimated cost. Changes nothing. Exits 2 if a resource is unhealthy or differs from the manifests.
    """
    import time

    from orchestrator import canonical_json
    from orchestrator.problems import ExitCode
    from orchestrator.render import status_view
    from orchestrator.runs import environment_status

    while True:
        status = environment_status.read_status(settings)
        if output_format == "json":
            settings.terminal.print_out(canonical_json.dump(status).decode())
        else:
            clear = _CLEAR_SCREEN if watch and settings.terminal.is_interactive else ""
            settings.terminal.print_out(clear + status_view.render_text(status, settings.terminal.style))
        if not watch:
            return ExitCode.OK if status.is_well else ExitCode.CHANGES
        time.sleep(WATCH_SECONDS)
