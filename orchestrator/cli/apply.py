"""``orchestrator apply``: the whole pipeline."""

from __future__ import annotations

from pathlib import Path

import click

from orchestrator.cli.options import Settings, applying, choosing, common
from orchestrator.cli.recording import How, recorded
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
@recorded
@common
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    reviewed: Path | None,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    targets: tuple[str, ...],
    allow: str,
    how: How,
) -> int:
    """Make AWS what the manifests say.

    Plans again first. With a PLAN.JSON, or a digest to --expect, it does what was reviewed or stops and names what
    moved. Otherwise it asks on a terminal. Exits 0 when done, 1 when something failed, 3 when vetoed, 4 when applied
    but not well. Run it again after a failure: it goes on from what AWS has.
    """
    from orchestrator import pipeline
    from orchestrator.cli import planfile, recording, running, show
    from orchestrator.cli.approval import Approval
    from orchestrator.problems import Exit
    from orchestrator.release import wanted

    approval = Approval(planfile.read(reviewed) if reviewed else None, expect, auto_approve)
    if approval.reviewed and settings.environment is None:
        settings.environment = approval.reviewed.environment
    asked = wanted.of(settings.manifests, settings.environment)
    scope, again = asked.desired.scope, [word for target in targets for word in ("--target", target)]
    with recording.run(settings, f"{scope.project}/{scope.environment}", "apply", how) as record:
        planned = pipeline.plan(asked.desired, targets=targets, allow=allow, clients=asked.clients)
        recording.choose(record, planned)
        with recording.agreeing(record):
            approval.refuse_stale(planned.plan)
        show.to(settings.terminal, planned, approval.detail(verbose=settings.verbose))
        if planned.plan.is_vetoed:
            recording.vetoed(record, planned.plan)
            return Exit.VETOED
        if not planned.plan.pending:
            return running.nothing_to_do(planned, settings)
        place = f"{scope.project}/{scope.environment} in account {planned.plan.account}"
        question = f"Apply these {len(planned.plan.pending)} changes to {place}? Only 'yes' is accepted:"
        with recording.agreeing(record):
            approval.obtain(settings.terminal, question, "yes")
        return running.carry_out(planned, settings, parallelism, settings.command("apply", *again), record)
