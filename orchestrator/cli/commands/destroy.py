"""``orchestrator destroy``: delete everything of one environment."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, project_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "destroy",
    "orchestrator destroy -e staging",
    "orchestrator destroy -e staging --allow 3f2a9c1b5d7e40868a1c2b3d4e5f6071",
)
@click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
@apply_options
@run_options
@project_options
def command(
    settings: Settings, expect: str, auto_approve: bool, parallelism: int, allow: str, run_options: RunOptions
) -> int:
    """Delete all resources of one environment.

    Deletes only resources with this environment's ownership mark. To delete resources that contain data, first set
    `deletionPolicy: delete` in their manifests and apply the change, then pass the token that the plan printed to
    --allow. On a terminal, asks for the name of the environment as confirmation. Uses the exit codes of `apply`.
    """
    from orchestrator.runs.apply import ApplyOptions, destroy
    from orchestrator.runs.approval import Approval

    approval = Approval(None, expect, auto_approve)
    return destroy(settings, ApplyOptions(approval, allow=allow, parallelism=parallelism, run=run_options))
