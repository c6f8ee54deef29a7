"""``orchestrator review``: one page to look at once a month."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.runs.settings import Settings


@cli_command("review", "orchestrator review -e prod", "orchestrator review -e prod --actual > review.md")
@click.option(
    "--actual",
    "is_actual",
    is_flag=True,
    help="Read the billed costs from Cost Explorer, which charges 0.01 USD; the result is cached for a day.",
)
@project_options
def command(settings: Settings, is_actual: bool) -> None:
    """Print a page for a monthly review, as Markdown.

    Shows the cost of the resources in AWS by component, compared with last month, the budget and the billed amount.
    Also lists leftover resources, access keys by age, drift, restore drills that are due, dates in the next 180 days,
    and possible savings. Lists what the credentials cannot read. Changes nothing. If a state service is configured, the
    environment's `Review` page shows the same data.
    """
    from orchestrator.render import review_page
    from orchestrator.runs import monthly_review, reporter

    review = monthly_review.gather(settings, is_actual=is_actual)
    settings.terminal.print_out(review_page.render(review))
    reporter.record_review(settings, review.title, review_page.list_findings(review))
