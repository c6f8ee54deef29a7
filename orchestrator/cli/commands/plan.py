"""``orchestrator plan``: the pipeline up to render."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import choosing, common
from orchestrator.runs.plan_output import Form
from orchestrator.runs.settings import Settings


@verb(
    "plan",
    "orchestrator plan -e prod",
    "orchestrator plan --out plan.json && orchestrator apply plan.json",
    "orchestrator plan --format markdown > comment.md",
    "orchestrator plan --steps --target database.main",
)
@click.option("--out", type=click.Path(path_type=Path, dir_okay=False), help="Also write the plan as JSON, for apply.")
@click.option(
    "--format", "form", type=click.Choice(["text", "json", "markdown", "html"]), default="text", show_default=True
)
@click.option("--steps", is_flag=True, help="Show every API call, and the permissions they need.")
@click.option("--detailed-exitcode", is_flag=True, help="Exit 2 when there are changes.")
@choosing
@common
def command(
    settings: Settings,
    out: Path | None,
    form: Form,
    steps: bool,
    detailed_exitcode: bool,
    targets: tuple[str, ...],
    allow: str,
) -> int:
    """Show what would change in AWS. Changes nothing.

    Reads AWS with the credentials, profile and endpoints that boto3 would use. Exits 0; 2 with --detailed-exitcode when
    there are changes; 3 when the plan is vetoed; 1 on a problem.
    """
    from orchestrator.cli import plan_file
    from orchestrator.planning import pipeline
    from orchestrator.problems import Exit
    from orchestrator.release import checkout
    from orchestrator.runs import plan_output, reporter

    asked = checkout.of(settings.manifests, settings.environment)
    planned = pipeline.plan(asked.desired, targets=targets, allow=allow, clients=asked.clients)
    made = planned.plan
    if out is not None:
        plan_file.write(out, made)
    reporter.seen(settings, planned)
    settings.terminal.say(
        plan_output.plan(planned, form, settings.terminal.style, steps=steps, fields=settings.verbose)
    )
    if made.is_vetoed:
        return Exit.VETOED
    if made.pending and form == "text":
        how = [str(out)] if out else ["--expect", made.digest]
        scope = [word for target in targets for word in ("--target", target)]
        settings.terminal.say(f"\nTo apply it: {settings.command('apply', *how, *scope)}")
    return Exit.CHANGES if made.pending and detailed_exitcode else Exit.OK
