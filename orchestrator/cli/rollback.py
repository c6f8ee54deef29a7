"""``orchestrator rollback``: an earlier release, all of it, with one command."""

from __future__ import annotations

import click

from orchestrator.cli.options import Settings, applying, common
from orchestrator.cli.verb import verb


@verb(
    "rollback",
    "orchestrator rollback -e prod",
    "orchestrator rollback --to 12 --plan",
    "orchestrator rollback --only site --reason 'wrong prices on the home page'",
)
@click.option("--to", "number", type=click.IntRange(1), metavar="RELEASE", help="Number of the release to go back to.")
@click.option("--only", default="", metavar="PARTS", help="Comma-separated: api, site, secrets, model, manifests.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what it would change, and change nothing.")
@click.option("--reason", default="", help="Why; it is written down, and shown where the bad release is held back.")
@click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
@applying
@common
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    number: int | None,
    only: str,
    plan_only: bool,
    reason: str,
    allow: str,
    expect: str,
    auto_approve: bool,
    parallelism: int,
) -> int:
    """Go back to an earlier release, all of it or parts.

    Image, site, secrets, model and manifests come back together. Without --to it is the last one that was proved healthy. Nothing is built or uploaded. The end is the old state or
    the new one, never a mix. What was left is held back: the next deploy does not bring it again unless it has
    changed (see `orchestrator unpin`). Exits 0 when done, 1 when it failed, 3 when vetoed, 5 when it failed and what
    stood before stands again.
    """
    from orchestrator import pipeline
    from orchestrator.aws import Reader
    from orchestrator.cli import releasing, show
    from orchestrator.cli.approval import Approval
    from orchestrator.problems import Exit, Problem, Problems
    from orchestrator.release import restore, rollback, wanted

    terminal = settings.terminal
    manifest = pipeline.validate(settings.manifests, settings.environment)
    clients = releasing.clients(manifest)
    store = wanted.demand(manifest, clients)
    ledger = store.read()
    target = rollback.choose(ledger, number)
    words = [word.strip() for word in only.split(",") if word.strip()]
    if found := restore.obstacles(ledger, target, store, Reader(clients)):
        hint = f"see what can come back: {settings.command('releases')}"
        raise Problems([Problem(f"release {target.number} cannot come back: {why}", hint=hint) for why in found])
    way = rollback.prepare(ledger, target, words, store)
    approval = Approval(None, expect, auto_approve)
    planned = pipeline.plan(way.wanted.desired, allow=allow, clients=clients)
    approval.refuse_stale(planned.plan)
    terminal.say(releasing.heading(way))
    show.to(terminal, planned, approval.detail(verbose=settings.verbose))
    if planned.plan.is_vetoed:
        return Exit.VETOED
    if plan_only:
        return Exit.OK
    question = f"Go back to release {target.number} with these {len(planned.plan.pending)} changes?"
    approval.obtain(terminal, f"{question} Only 'yes' is accepted:", "yes")
    with releasing.lease(store, settings, f"rollback to release {target.number}"):
        return releasing.carry_out(
            settings,
            planned,
            lambda run, told: run.go_back(planned, way, reason, told),
            store=store,
            clients=clients,
            parallelism=parallelism,
            again=settings.command("rollback", "--to", str(target.number), *(["--only", only] if only else [])),
        )
