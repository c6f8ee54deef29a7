"""``orchestrator hibernate``: pause services and stop databases while nobody needs them."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, project_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "hibernate",
    "orchestrator hibernate -e staging",
    "orchestrator hibernate -e staging --scheduled --auto-approve",
)
@click.option(
    "--scheduled",
    is_flag=True,
    help="Apply the Project's `schedule`: hibernate, wake or change nothing, depending on the current time.",
)
@apply_options
@run_options
@project_options
def command(
    settings: Settings, scheduled: bool, expect: str, auto_approve: bool, parallelism: int, run_options: RunOptions
) -> int:
    """Pause services and stop databases while nobody needs them.

    Services are paused before their databases stop. Storage, backups and static sites stay as they are. Plan and
    drift take the hibernation into account. `orchestrator wake` and every deploy wake the environment. AWS starts a
    stopped database after 7 days: to stop it again, run this command again, or use --scheduled. If the command is
    interrupted, run it again.
    """
    from orchestrator.runs import hibernate
    from orchestrator.runs.apply import ApplyOptions
    from orchestrator.runs.approval import Approval

    approval = Approval(expected_digest=expect, is_automatic=auto_approve)
    options = ApplyOptions(approval, parallelism=parallelism, run=run_options)
    return hibernate.follow_schedule(settings, options) if scheduled else hibernate.hibernate(settings, options)
