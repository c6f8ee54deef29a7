"""``orchestrator destroy``: the whole pipeline, for no manifests."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, common_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "destroy",
    "orchestrator destroy -e staging",
    "orchestrator destroy -e staging --allow 3f2a9c1b",
)
@click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
@apply_options
@run_options
@common_options
def command(settings: Settings, expect: str, auto_approve: bool, parallelism: int, allow: str, how: RunOptions) -> int:
    """Delete everything of one environment.

    Only what bears this environment's mark is touched. What holds data is vetoed until its manifest says
    `deletionPolicy: delete`, was applied so, and the plan's token is given. Asks for the environment's name on a
    terminal. Exits as apply does.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout
    from orchestrator.runs import apply, lock
    from orchestrator.runs.approval import Approval

    approval = Approval(None, expect, auto_approve)
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients, desired = Clients(manifest.scope.region), pipeline.expand_manifest(manifest, include_artefacts=False)
    ledger_store = checkout.find_store(manifest, clients)
    with lock.write_lock(settings, manifest.scope, "destroy", how, clients, ledger_store) as turn:
        planned = pipeline.plan(desired, destroying=True, allow=allow, clients=turn.clients)
        name = manifest.environment
        prompt = f"Delete {{count}} resources of {{place}}? Type {name!r} to do it:", name
        return apply.review_and_apply(
            planned, settings, turn, approval, prompt, settings.command_line("destroy"), parallelism
        )
