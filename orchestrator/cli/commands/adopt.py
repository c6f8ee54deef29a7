"""``orchestrator adopt``: take over what exists in AWS, with the settings that it has."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import data_options, plan_only_option, project_options
from orchestrator.cli.value_completion import complete_target
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.runs.approval import Approval
    from orchestrator.runs.reporter import RunOptions


@cli_command(
    "adopt",
    "orchestrator adopt bucket.files --plan",
    "orchestrator adopt database.main -e prod",
    "orchestrator adopt bucket.files --auto-approve",
)
@click.argument("components", metavar="COMPONENT...", nargs=-1, required=True, shell_complete=complete_target)
@plan_only_option
@click.option("--allow", default="", metavar="TOKEN", help="Agree to what the plan that printed TOKEN removes.")
@data_options
@project_options
def command(
    settings: Settings,
    components: tuple[str, ...],
    plan_only: bool,
    allow: str,
    approval: Approval,
    run_options: RunOptions,
) -> int:
    """Take over the existing resources of components that the manifests declare.

    Shows for each resource what stays, what changes and what is removed. Edits the manifest until it describes what
    exists, as far as its fields can; comments and layout stay. Then shows what still changes, and applies it: in the
    best case only the tags that mark the resources as managed. Asks before it writes the manifest, before it changes
    AWS, and before it removes anything. Without a terminal, --auto-approve agrees to the first two, and --allow to
    what a plan removes. Run it again after an interruption: it continues.

    With --plan, shows everything, changes nothing and exits 2. Exits 3 if the plan is vetoed.
    """
    from orchestrator.runs.adopt import AdoptOptions, adopt

    return adopt(settings, components, AdoptOptions(approval, allow, plan_only, run_options))
