"""``orchestrator github rollback``: an earlier release, started by hand, and everybody is told how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.notifications import Bulletin


@verb("rollback", "orchestrator github rollback -e prod")
@click.option(
    "--to", "release_number", default="", envvar="ORCHESTRATOR_RELEASE", help="Number of the release to go back to."
)
@click.option("--only", "parts", default="", envvar="ORCHESTRATOR_PARTS", help="Parts, comma-separated.")
@click.option("--reason", default="", envvar="ORCHESTRATOR_REASON", help="Why; it is written down.")
@click.option("--allow", default="", envvar="ORCHESTRATOR_ALLOW", metavar="TOKEN", help="Lift the vetoes of one plan.")
@click.option("--plan-only", is_flag=True, envvar="ORCHESTRATOR_PLAN_ONLY", help="Show the plan, and stop there.")
@common
def command(settings: Settings, release_number: str, parts: str, reason: str, allow: str, plan_only: bool) -> int:
    """Go back as `orchestrator rollback` does, and tell GitHub. Waits for its turn.

    Whoever starts the workflow has agreed to it. Exits as `orchestrator rollback` does.
    """
    from orchestrator.cli.commands.github.deploy import demand, told
    from orchestrator.github.notifications import Bulletin

    demand(
        release_number, r"([1-9][0-9]{0,8})?", "the release", "a number that `orchestrator releases` shows, or nothing"
    )
    demand(parts, r"[A-Za-z0-9_., -]{0,200}", "the parts", "names, comma-separated")
    demand(allow, r"([0-9a-f]{8})?", "the token to allow", "8 hexadecimal digits, as a vetoed plan prints them")
    bulletin = Bulletin.here(settings.manifests, settings.environment)
    number = int(release_number) if release_number else None
    if plan_only:
        return _show(settings, bulletin, number, parts, allow)
    return told(bulletin, settings, lambda: _back(settings, bulletin, number, parts, reason, allow), "releases")


def _show(settings: Settings, bulletin: Bulletin, number: int | None, parts: str, allow: str) -> int:
    """The plan on the run's page, and nothing else."""
    from orchestrator.planning import pipeline
    from orchestrator.problems import Exit
    from orchestrator.render import plan_markdown, plan_view
    from orchestrator.runs import release

    desk = release.desk(settings, auto_approve=True)
    way = release.way(desk, number, parts, keeping=False)
    planned = pipeline.plan(way.wanted.desired, allow=allow, clients=desk.clients)
    settings.terminal.say(release.heading(way))
    desk.show(planned)
    shown = plan_markdown.render(plan_view.view(planned.plan, longest=400))
    bulletin.run.summary(f"{release.heading(way)} Nothing was done.\n\n{shown}")
    bulletin.run.output(result="planned", release=way.standing.number, digest=planned.plan.digest)
    return Exit.VETOED if planned.plan.is_vetoed else Exit.OK


def _back(settings: Settings, bulletin: Bulletin, number: int | None, parts: str, reason: str, allow: str) -> int:
    from orchestrator.cli.commands.github.deploy import PATIENCE, vetoed
    from orchestrator.planning import pipeline
    from orchestrator.runs import release
    from orchestrator.runs.reporter import How

    desk = release.desk(settings, auto_approve=True)
    bulletin.begin("rollback")
    with desk.writing("rollback", How(patience=PATIENCE, needed=False, reason=reason)) as ours:
        way = release.way(ours, number, parts, keeping=True)
        planned = pipeline.plan(way.wanted.desired, allow=allow, clients=ours.clients)
        settings.terminal.say(release.heading(way))
        if not ours.show(planned):
            raise vetoed(planned.plan)
        again = settings.command("rollback", "--to", str(way.target.number), *(["--only", parts] if parts else []))
        done = ours.perform(planned, lambda run, tell: run.go_back(planned, way, reason, tell), 16, again)
        if done.ended and done.ending:
            bulletin.ended(f"{planned.plan.project}/{planned.plan.environment}", done.ending, done.ended)
        else:
            bulletin.broken_off()
        return done.code
