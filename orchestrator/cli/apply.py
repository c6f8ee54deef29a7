"""``orchestrator apply``: the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import Settings, applying, choosing, common
from orchestrator.cli.verb import verb


@verb(
    "apply",
    "orchestrator apply -e prod",
    "orchestrator plan --out plan.json && orchestrator apply plan.json",
    "orchestrator apply --auto-approve --target bucket.files",
)
@click.argument("reviewed", metavar="[PLAN.JSON]", required=False, type=click.Path(path_type=Path, dir_okay=False))
@applying
@choosing
@common
def command(
    settings: Settings,
    reviewed: Path | None,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    targets: tuple[str, ...],
    allow: str,
) -> int:
    """Make AWS what the manifests say.

    Plans again first. With a PLAN.JSON, or a digest to --expect, it does what was reviewed or stops and names what
    moved. Otherwise it asks on a terminal. Exits 0 when done, 1 when something failed, 3 when vetoed, 4 when applied
    but not well. Run it again after a failure: it goes on from what AWS has.
    """
    from orchestrator import pipeline
    from orchestrator.cli import planfile, running, show
    from orchestrator.cli.approval import Approval
    from orchestrator.problems import Exit
    from orchestrator.release import wanted

    approval = Approval(planfile.read(reviewed) if reviewed else None, expect, auto_approve)
    if approval.reviewed and settings.environment is None:
        settings.environment = approval.reviewed.environment
    desired = wanted.of(settings.manifests, settings.environment).desired
    planned = pipeline.plan(desired, targets=targets, allow=allow)
    plan = planned.plan
    approval.refuse_stale(plan)
    show.to(settings.terminal, planned, approval.detail(verbose=settings.verbose))
    if plan.is_vetoed:
        return Exit.VETOED
    if not plan.pending:
        return running.nothing_to_do(planned, settings)
    place = f"{plan.project}/{plan.environment} in account {plan.account}"
    approval.obtain(
        settings.terminal, f"Apply these {len(plan.pending)} changes to {place}? Only 'yes' is accepted:", "yes"
    )
    scope = [word for target in targets for word in ("--target", target)]
    return running.carry_out(planned, settings, parallelism, settings.command("apply", *scope))
