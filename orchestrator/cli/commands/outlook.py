"""``orchestrator outlook``: list the dates on which AWS changes what the stack costs, or GitHub its workflows."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, project_options
from orchestrator.quantities import format_count
from orchestrator.runs.settings import Settings


@cli_command("outlook", "orchestrator outlook -e prod", "orchestrator outlook --days 1000")
@click.option(
    "--days", type=click.IntRange(1, 3650), default=365, show_default=True, help="Number of days to look ahead."
)
@format_option("text", "json")
@project_options
def command(settings: Settings, days: int, output_format: str) -> None:
    """List upcoming dates: cost changes, upgrades by AWS, outdated actions.

    Past dates are listed while they still affect the project. Works offline and without AWS credentials. Plans start
    to warn 180 days before each date that AWS sets; the `drift` workflow lists every date in an issue.
    """
    from datetime import UTC, datetime

    from orchestrator import canonical_json
    from orchestrator.artefacts.repository_paths import find_repository
    from orchestrator.cost import deadlines, retirement_calendar
    from orchestrator.cost.deadlines import Deadline
    from orchestrator.cost.workflow_deadlines import list_workflow_deadlines
    from orchestrator.planning import pipeline
    from orchestrator.render import cost_report

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    today = datetime.now(UTC).date()
    all_dates = [
        *deadlines.list_deadlines(desired.resources),
        *(
            Deadline(closure.on, address, closure.effect, closure.source)
            for address, closure in retirement_calendar.list_closed_services(desired.resources)
        ),
        *list_workflow_deadlines(find_repository(settings.manifests.resolve())),
    ]
    upcoming = deadlines.select_due(all_dates, today, days)
    if output_format == "json":
        settings.terminal.print_out(canonical_json.dump(upcoming).decode())
        return
    text = cost_report.render_deadlines(upcoming)
    settings.terminal.print_out(text or f"No dates in the next {format_count(days, 'day')}.")
