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
@click.option("--allow", default="", metavar="TOKEN", help="Allow the removals in the plan that printed TOKEN.")
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
    """Adopt the existing AWS resources of components that the manifests declare.

    Shows what adoption keeps, changes and removes in each resource. Edits the manifest to match the existing resources
    as far as its fields allow, and keeps comments and layout. Then shows the remaining changes and applies them:
    ideally, only the tags that mark the resources as managed. Asks for confirmation before it writes the manifest,
    before it changes AWS, and before it removes anything. Without a terminal, --auto-approve confirms the first two,
    and --allow confirms what a plan removes. If the command is interrupted, run it again: it continues.

    With --plan, shows everything, changes nothing and exits 2. Exits 3 if the plan is vetoed.
    """
    from orchestrator.runs.adopt import AdoptOptions, adopt

    return adopt(settings, components, AdoptOptions(approval, allow, plan_only, run_options))
