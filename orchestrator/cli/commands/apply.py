"""``orchestrator apply``: the whole pipeline."""

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
    how: RunOptions,
) -> int:
    """Make AWS what the manifests say.

    Plans again first. With a PLAN.JSON, or a digest to --expect, it does what was reviewed or stops and names what
    moved. Otherwise it asks on a terminal. Exits 0 when done, 1 when something failed, 3 when vetoed, 4 when applied
    but not well. Run it again after a failure: it goes on from what AWS has.
    """
    from orchestrator.aws import Clients
    from orchestrator.cli import plan_file
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout
    from orchestrator.runs import apply, lock
    from orchestrator.runs.approval import Approval

    approval = Approval(plan_file.read(reviewed) if reviewed else None, expect, auto_approve)
    if approval.reviewed and settings.environment is None:
        settings.environment = approval.reviewed.environment
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = Clients(manifest.scope.region)
    retry_command = settings.command_line("apply", *(word for target in targets for word in ("--target", target)))
    ledger_store = checkout.find_store(manifest, clients)
    with lock.write_lock(settings, manifest.scope, "apply", how, clients, ledger_store) as turn:
        desired = checkout.from_manifest(manifest, turn.clients).desired
        planned = pipeline.plan(desired, targets=targets, allow=allow, clients=turn.clients)
        prompt = "Apply these {count} changes to {place}? Only 'yes' is accepted:", "yes"
        return apply.review_and_apply(planned, settings, turn, approval, prompt, retry_command, parallelism)
