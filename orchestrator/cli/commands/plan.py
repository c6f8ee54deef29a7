"""``orchestrator plan``: show what would change in AWS."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, plan_options, project_options
from orchestrator.runs.plan_output import PlanFormat
from orchestrator.runs.settings import Settings


@cli_command(
    "plan",
    "orchestrator plan -e prod",
    "orchestrator plan --out plan.json && orchestrator apply plan.json",
    "orchestrator plan --format markdown > comment.md",
    "orchestrator plan --steps --target database.main",
)
@click.option(
    "--out", type=click.Path(path_type=Path, dir_okay=False), help="Also write the plan as JSON, to apply it later."
)
@format_option("text", "json", "markdown", "html", help_text="Format of the plan.", name="plan_format")
@click.option("--steps", is_flag=True, help="Show every API call and the permissions it needs.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes.")
@plan_options
@project_options
def command(
    settings: Settings,
    out: Path | None,
    plan_format: PlanFormat,
    steps: bool,
    detailed_exitcode: bool,
    targets: tuple[str, ...],
    allow: str,
) -> int:
    """Show what would change in AWS. Changes nothing.

    Reads AWS with the credentials, profile and endpoints that boto3 would use. Exits 0 on success, 1 on a problem, 2
    when there are changes and --detailed-exitcode is set, 3 when the plan is vetoed.
    """
    from orchestrator.cli import plan_file
    from orchestrator.planning import pipeline
    from orchestrator.problems import ExitCode
    from orchestrator.release import checkout
    from orchestrator.runs import plan_output, reporter

    candidate = checkout.load(settings.manifests, settings.environment)
    planned = pipeline.plan(candidate.desired, targets=targets, allow=allow, clients=candidate.clients)
    plan = planned.plan
    if out is not None:
        plan_file.write(out, plan)
    reporter.record_plan(settings, planned)
    settings.terminal.print_out(
        plan_output.format_plan(
            planned, plan_format, settings.terminal.style, steps=steps, show_fields=settings.verbose
        )
    )
    if plan.is_vetoed:
        return ExitCode.VETOED
    if plan.pending_changes and plan_format == "text":
        apply_arguments = [str(out)] if out else ["--expect", plan.digest]
        target_arguments = [word for target in targets for word in ("--target", target)]
        settings.terminal.print_out(
            f"\nTo apply it: {settings.command_line('apply', *apply_arguments, *target_arguments)}"
        )
    return ExitCode.CHANGES if plan.pending_changes and detailed_exitcode else ExitCode.OK
