"""``orchestrator cost``: estimate what the stack of the manifests costs a month."""

from __future__ import annotations

from datetime import datetime

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, project_options
from orchestrator.runs.settings import Settings


@cli_command(
    "cost",
    "orchestrator cost -e prod",
    "orchestrator cost --account-created 2026-03-01",
    "orchestrator cost --format json | jq .idle_usd",
)
@click.option(
    "--account-created",
    type=click.DateTime(["%Y-%m-%d"]),
    help="Creation date of the AWS account, if the Project has no `accountCreated`: includes the account's free months "
    "or credits in the estimate.",
)
@click.option(
    "--actual",
    "is_actual",
    is_flag=True,
    help="Read the billed costs from Cost Explorer, which charges 0.01 USD; the result is cached for a day.",
)
@click.option(
    "--measured",
    "is_measured",
    is_flag=True,
    help="Estimate with the usage that CloudWatch measured in the last 30 days, instead of the declared usage.",
)
@format_option("text", "json")
@project_options
def command(
    settings: Settings, account_created: datetime | None, is_actual: bool, is_measured: bool, output_format: str
) -> None:
    """Estimate the monthly cost of the stack that the manifests define.

    Uses AWS's list prices, before VAT and traffic: either the prices included in the orchestrator, or the prices that
    `orchestrator prices refresh` wrote. Resources without a price are listed, and the total is then a minimum. Without
    --actual and --measured, the command works offline and without AWS credentials. --measured reads the storage of
    buckets, the traffic and requests of Cdns, and the active hours and logs of App Runner services. --actual also shows
    what AWS billed the account last month and this month, by AWS service.
    """
    from orchestrator import canonical_json
    from orchestrator.render import cost_report, spend_report
    from orchestrator.runs import cost_estimate, cost_explorer, usage_metrics

    measured = usage_metrics.read(settings) if is_measured else None
    report = cost_estimate.estimate_manifests(
        settings.manifests, settings.environment, measured=measured.usage if measured else None
    )
    created = account_created.date() if account_created else report.account_created
    if output_format == "json":
        data = cost_report.to_json(
            report.estimate, report.components, report.on, created, report.advice, report.scheduled
        )
        if measured:
            data["measured"] = cost_report.to_measured_json(measured.first_day, measured.last_day, measured.usage)
        if is_actual:
            spend = cost_explorer.read_for_manifests(settings)
            data["actual"] = spend_report.to_json(spend.months, report.estimate, spend.read_at, spend.requests)
        settings.terminal.print_out(canonical_json.dump(data).decode())
        return
    settings.terminal.print_out(
        cost_report.render_text(report.estimate, report.components, report.on, created, report.advice, report.scheduled)
    )
    if measured:
        text = cost_report.render_measured(measured.first_day, measured.last_day, measured.usage)
        settings.terminal.print_out("\n" + text)
    if is_actual:
        spend = cost_explorer.read_for_manifests(settings)
        text = spend_report.render_text(
            spend.months, report.estimate, spend.read_at, spend.requests, cost_explorer.REQUEST_USD
        )
        settings.terminal.print_out("\n" + text)
