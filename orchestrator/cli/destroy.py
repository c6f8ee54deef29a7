"""``orchestrator destroy``: the whole pipeline, for no manifests."""

from __future__ import annotations

import click

from orchestrator.cli.options import Settings, applying, common
from orchestrator.cli.verb import verb


@verb(
    "destroy",
    "orchestrator destroy -e staging",
    "orchestrator destroy -e staging --allow 3f2a9c1b",
)
@click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
@applying
@common
def command(settings: Settings, expect: str, auto_approve: bool, parallelism: int, allow: str) -> int:
    """Delete everything of one environment.

    Only what bears this environment's mark is touched. What holds data is vetoed until its manifest says
    `deletionPolicy: delete`, was applied so, and the plan's token is given. Asks for the environment's name on a
    terminal. Exits as apply does.
    """
    from orchestrator import pipeline
    from orchestrator.cli import running, show
    from orchestrator.cli.approval import Approval
    from orchestrator.problems import Exit

    approval = Approval(None, expect, auto_approve)
    desired = pipeline.desired(settings.manifests, settings.environment, shipping=False)
    planned = pipeline.plan(desired, destroying=True, allow=allow)
    plan = planned.plan
    approval.refuse_stale(plan)
    show.to(settings.terminal, planned, approval.detail(verbose=settings.verbose))
    if plan.is_vetoed:
        return Exit.VETOED
    if not plan.pending:
        return running.nothing_to_do(planned, settings)
    place = f"{plan.project}/{plan.environment} in account {plan.account}"
    approval.obtain(
        settings.terminal,
        f"Delete {len(plan.pending)} resources of {place}? Type {plan.environment!r} to do it:",
        plan.environment,
    )
    return running.carry_out(planned, settings, parallelism, settings.command("destroy"))
