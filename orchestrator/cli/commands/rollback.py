"""``orchestrator rollback``: an earlier release, all of it, with one command."""

from __future__ import annotations

from contextlib import nullcontext

import click
from msgspec.structs import replace

from orchestrator.cli.command import verb
from orchestrator.cli.options import applying, common, recorded
from orchestrator.runs.reporter import How
from orchestrator.runs.settings import Settings


@verb(
    "rollback",
    "orchestrator rollback -e prod",
    "orchestrator rollback --to 12 --plan",
    "orchestrator rollback --only site --reason 'wrong prices on the home page'",
    "orchestrator rollback --only model --reason 'takes rings for chains'",
)
@click.option("--to", "number", type=click.IntRange(1), metavar="RELEASE", help="Number of the release to go back to.")
@click.option("--only", default="", metavar="PARTS", help="Comma-separated: api, site, secrets, model, manifests.")
@click.option("--plan", "plan_only", is_flag=True, help="Show what it would change, and change nothing.")
@click.option("--reason", default="", help="Why; it is written down, and shown where the bad release is held back.")
@click.option("--allow", default="", metavar="TOKEN", help="Lift the vetoes of the plan that printed TOKEN.")
@applying
@recorded
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
    how: How,
) -> int:
    """Go back to an earlier release, all of it or parts.

    Image, site, secrets, model and manifests come back together. Without --to it is the last release that was proved
    healthy. Nothing is built or uploaded. The end is the old state or the new one, never a mix. What was left is held
    back: the next deploy does not bring it again unless it has changed (see `orchestrator unpin`). Exits 0 when done,
    1 when it failed, 3 when vetoed, 5 when it failed and what stood before stands again.
    """
    from orchestrator.planning import pipeline
    from orchestrator.problems import Exit
    from orchestrator.runs import release

    desk = release.desk(settings, expect, auto_approve=auto_approve)
    how = replace(how, needed=False, reason=reason)  # going back works when everything else is down
    with desk.writing("rollback", how) if not plan_only else nullcontext(desk) as ours:
        way = release.way(ours, number, only, keeping=not plan_only)
        planned = pipeline.plan(way.wanted.desired, allow=allow, clients=ours.clients)
        settings.terminal.say(release.heading(way))
        if not ours.show(planned):
            return Exit.VETOED
        if plan_only:
            return Exit.OK
        ours.obtain(planned, f"Go back to release {way.target.number}")
        again = settings.command("rollback", "--to", str(way.target.number), *(["--only", only] if only else []))
        return ours.carry_out(planned, lambda run, told: run.go_back(planned, way, reason, told), parallelism, again)
