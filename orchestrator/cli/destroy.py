"""``orchestrator destroy``: the whole pipeline, for no manifests."""

from __future__ import annotations

import click

from orchestrator.cli.options import Settings, applying, common
from orchestrator.cli.recording import How, recorded
from orchestrator.cli.verb import verb


@verb(
    "destroy",
    "orchestrator destroy -e staging",
    "orchestrator destroy -e staging --allow 3f2a9c1b",
)
@click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
@applying
@recorded
@common
def command(settings: Settings, expect: str, auto_approve: bool, parallelism: int, allow: str, how: How) -> int:
    """Delete everything of one environment.

    Only what bears this environment's mark is touched. What holds data is vetoed until its manifest says
    `deletionPolicy: delete`, was applied so, and the plan's token is given. Asks for the environment's name on a
    terminal. Exits as apply does.
    """
    from orchestrator import pipeline
    from orchestrator.cli import recording, running, show
    from orchestrator.cli.approval import Approval
    from orchestrator.problems import Exit

    approval = Approval(None, expect, auto_approve)
    desired = pipeline.desired(settings.manifests, settings.environment, shipping=False)
    scope = desired.scope
    with recording.run(settings, f"{scope.project}/{scope.environment}", "destroy", how) as record:
        planned = pipeline.plan(desired, destroying=True, allow=allow)
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
        question = f"Delete {len(planned.plan.pending)} resources of {place}? Type {scope.environment!r} to do it:"
        with recording.agreeing(record):
            approval.obtain(settings.terminal, question, scope.environment)
        return running.carry_out(planned, settings, parallelism, settings.command("destroy"), record)
