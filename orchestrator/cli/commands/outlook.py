"""``orchestrator outlook``: list the dates on which AWS changes what the stack costs, or refuses it."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings


@cli_command("outlook", "orchestrator outlook -e prod", "orchestrator outlook --days 1000")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="Number of days to look ahead."
)
@project_options
def command(settings: Settings, days: int) -> None:
    """List the dates on which AWS changes costs, or a database.

    Needs neither AWS nor a network. Plans warn of each date 180 days before.
    """
    from datetime import UTC, datetime

    from orchestrator.cost import deadlines
    from orchestrator.planning import pipeline
    from orchestrator.render import cost_report

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    today = datetime.now(UTC).date()
    text = cost_report.render_deadlines(deadlines.upcoming(desired.resources, today, days))
    settings.terminal.print_out(text or f"No known date in the next {days} days.")
