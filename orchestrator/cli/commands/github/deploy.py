"""``orchestrator github deploy``: what was reviewed, from the newest commit, and everybody is told how it ended."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import TYPE_CHECKING, cast

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.problems import Exit, Problems
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.approval import Approval
    from orchestrator.github.notifications import Bulletin
    from orchestrator.github.reviewed_plan import Seen
    from orchestrator.release import Ledger
    from orchestrator.runs.release import Desk, Performed
    from orchestrator.vocabulary import Plan

PATIENCE = 1800.0
"""Seconds to wait for another run that writes."""


@verb("deploy", "orchestrator github deploy -e prod")
@click.option("--digest", default="", envvar="ORCHESTRATOR_DIGEST", help="A plan that a person agrees to by this run.")
@click.option("--allow", default="", envvar="ORCHESTRATOR_ALLOW", metavar="TOKEN", help="Lift the vetoes of one plan.")
@common
def command(settings: Settings, digest: str, allow: str) -> int:
    """Deploy the commit that is checked out, if its plan was reviewed as the Project's `approval` asks.

    Waits for its turn. Tells the run's page, GitHub's deployments, and on failure the merged pull request. Exits as
    `orchestrator deploy` does; 6 when the plan is not what was reviewed, and nothing was done.
    """
    from orchestrator.github.notifications import Bulletin

    demand(digest, r"([0-9a-f]{64})?", "the digest", "64 hexadecimal digits, as the plan ends with")
    demand(allow, r"([0-9a-f]{8})?", "the token to allow", "8 hexadecimal digits, as a vetoed plan prints them")
    bulletin = Bulletin.here(settings.manifests, settings.environment)
    return told(bulletin, settings, lambda: deploy(settings, bulletin, digest, allow))


def deploy(
    settings: Settings, bulletin: Bulletin, digest: str, allow: str, *, what: str = "deploy", agreed: bool = False
) -> int:
    """Plan and carry out ``what``; ``agreed`` when a person started this very run by hand.

    GitHub hears of a deployment once there is something to deploy: the folder, the environment, a place for releases.
    Raises Problems.
    """
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout
    from orchestrator.runs import overlapping_plans, release, reporter
    from orchestrator.runs.reporter import How
    from orchestrator.state.client.run_reporter import Superseded

    desk = release.desk(settings, auto_approve=True)
    bulletin.begin(what)
    desk.build_sites()
    merged = bulletin.brought_by() if reporter.is_told() else None
    try:
        with desk.writing("deploy", How(patience=PATIENCE, brought_by=merged)) as ours:
            if bulletin.overtakes:
                ours.record.overtakes(bulletin.run.sha)
            asked = checkout.of_manifest(ours.manifest, ours.clients)
            planned = pipeline.plan(asked.desired, allow=allow, clients=ours.clients)
            if not ours.show(planned):
                raise vetoed(planned.plan)
            if not agreed and not _approved(ours, bulletin, planned.plan, asked.ledger, digest):
                reporter.unreviewed(ours.record)
                return Exit.UNREVIEWED
            again = settings.command("deploy")
            done = ours.perform(planned, lambda run, tell: run.deploy(planned, asked, tell), 16, again)
            _close(bulletin, planned.plan, done)
        overlapping_plans.close_merged(settings, bulletin, f"{planned.plan.project}/{planned.plan.environment}")
        return done.code
    except Superseded as newer:
        settings.terminal.say(f"Run {newer.by} deploys a newer commit, and this one with it; nothing was done.")
        bulletin.superseded(newer.by)
        return Exit.OK


def _close(bulletin: Bulletin, plan: Plan, done: Performed) -> None:
    if done.ended and done.ending:
        bulletin.ended(f"{plan.project}/{plan.environment}", done.ending, done.ended)
    else:
        bulletin.broken_off()


def told(bulletin: Bulletin, settings: Settings, work: Callable[[], int], verb: str = "deploy") -> int:
    """Do ``work``; whatever stops it is told before it is raised."""
    try:
        return work()
    except Problems as error:
        bulletin.failed(error.problems, settings.command(verb))
        raise
    except BaseException:
        bulletin.broken_off()
        raise


def vetoed(plan: Plan) -> Problems:
    """Why a plan may not be carried out, as problems."""
    from orchestrator.problems import Problem

    vetoes = [("", veto) for veto in plan.vetoes]
    vetoes += [(f"{change.address}: ", veto) for change in plan.changes for veto in change.vetoes]
    lifts = all(veto.token_lifts for _, veto in vetoes)
    hint = f"if this is what you want, run the workflow by hand with `allow` {plan.token}" if lifts else None
    return Problems([Problem(f"{place}{one.sentence} ({one.name})", hint=hint) for place, one in vetoes], Exit.VETOED)


def demand(text: str, pattern: str, what: str, rule: str) -> None:
    """Check an input of a workflow again.  Raises Problems."""
    if not re.fullmatch(pattern, text):
        raise Problems.one(f"{what} is not one: {text[:80]!r}", hint=rule)


def _approved(desk: Desk, bulletin: Bulletin, plan: Plan, ledger: Ledger, digest: str) -> bool:
    """Whether the plan may go ahead; says so, or why not."""
    from orchestrator.github import approval
    from orchestrator.release import manifest_documents

    kind = cast("Approval", desk.manifest.project.spec["approval"])
    views = _reviewed(bulletin, ledger, digest, needed=kind != "none" and bool(plan.pending))
    whole = ledger.current
    settled = {manifest_documents.handle(one) for one in ledger.written(whole)} if whole else set()
    verdict = approval.judge(plan, kind, views, settled)
    desk.settings.terminal.say(f"Approval: {verdict.why}.")
    for sentence in verdict.moved:
        desk.settings.terminal.tell(f"  {sentence}")
    if not verdict.goes:
        bulletin.stopped(f"{plan.project}/{plan.environment}", verdict, plan.digest)
    return verdict.goes


def _reviewed(bulletin: Bulletin, ledger: Ledger, digest: str, *, needed: bool) -> list[Seen]:
    from orchestrator.github import plan_status
    from orchestrator.github.reviewed_plan import Seen

    views = [Seen(digest)] if digest else []
    github = bulletin.github
    if not needed or github is None:
        return views
    base = ledger.current.commit if ledger.current else ""
    for found in plan_status.since(github, base, bulletin.commit):
        head = str(found["head"]["sha"])
        view = plan_status.reviewed(github, int(found["number"]), head, bulletin.environment, bulletin.marker)
        views += [view] if view else []
    return views
