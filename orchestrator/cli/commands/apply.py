"""``orchestrator apply``: plan, ask for approval and apply."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, common_options, plan_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "apply",
    "orchestrator apply -e prod",
    "orchestrator plan --out plan.json && orchestrator apply plan.json",
    "orchestrator apply --auto-approve --target bucket.files",
)
@click.argument("reviewed", metavar="[PLAN.JSON]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@apply_options
@plan_options
@run_options
@common_options
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    reviewed: Path | None,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    targets: tuple[str, ...],
    allow: str,
    run_options: RunOptions,
) -> int:
    """Make AWS match the manifests.

    Makes a new plan first. With PLAN.JSON or a digest in --expect, applies that reviewed plan, or stops and lists what
    changed since the review. Otherwise asks for confirmation on a terminal. Exits 0 when every change is applied, 1
    when a change failed, 3 when the plan is vetoed, 4 when every change is applied but a resource is unhealthy. After a
    failure, run the command again: it continues from the current state of AWS.
    """
    from orchestrator.cli import plan_file
    from orchestrator.runs.apply import ApplyOptions, apply
    from orchestrator.runs.approval import Approval

    approval = Approval(plan_file.read(reviewed) if reviewed else None, expect, auto_approve)
    return apply(settings, ApplyOptions(approval, targets, allow, parallelism, run_options))
