"""``orchestrator github plan``: the plan, and one comment that says so."""

from __future__ import annotations

from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.problems import Exit, Problems
from orchestrator.runs import reporter
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.notifications import Bulletin
    from orchestrator.planning.plan import Planned

SUMMARY = 900_000
"""Bytes of a step summary; GitHub keeps a mebibyte."""


@verb("plan", "orchestrator github plan -e prod --out plan", "orchestrator github plan --emulated")
@click.option("--out", type=click.Path(path_type=Path, file_okay=False), help="Folder for the plan, as JSON and HTML.")
@click.option("--emulated", is_flag=True, help="Plan against an empty AWS on this machine; tell only the run's page.")
@common
def command(settings: Settings, out: Path | None, emulated: bool) -> int:
    """Plan, and tell the pull request in one comment that is kept up to date.

    A commit status keeps the digest of what was shown; a deploy looks for it. With --emulated no credentials and no
    token are used, which is for pull requests from forks. Exits as `orchestrator plan` does.
    """
    from orchestrator.github.notifications import Bulletin

    bulletin = Bulletin.here(settings.manifests, settings.environment, silent=emulated)
    try:
        planned, approval = _planned(settings, emulated=emulated)
    except Problems as error:
        bulletin.no_plan(error.problems)
        raise
    if not emulated:
        reporter.seen(settings, planned)
    _tell(settings, bulletin, planned, approval, out)
    return Exit.VETOED if planned.plan.is_vetoed else Exit.OK


def _planned(settings: Settings, *, emulated: bool) -> tuple[Planned, str]:
    """The plan, and what the Project says of approval.

    Raises Problems.
    """
    from orchestrator.github import workflow_context
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout

    manifest = pipeline.validate(settings.manifests, settings.environment)
    with ExitStack() as stack:
        if emulated:
            stack.enter_context(workflow_context.emulated(manifest.scope))
        asked = checkout.of_manifest(manifest)
        return pipeline.plan(asked.desired, clients=asked.clients), str(manifest.project.spec["approval"])


def _tell(settings: Settings, bulletin: Bulletin, planned: Planned, approval: str, out: Path | None) -> None:
    from orchestrator.cli import plan_file
    from orchestrator.github import comment_body, reviewed_plan
    from orchestrator.render import plan_html, plan_view
    from orchestrator.runs import overlapping_plans, plan_output

    made = planned.plan
    if out is not None:
        out.mkdir(parents=True, exist_ok=True)
        plan_file.write(out / "plan.json", made)
        shown = plan_view.view(made, cost=plan_output.cost(planned), steps=True, longest=4_000)
        (out / "plan.html").write_text(plan_html.render(shown), encoding="utf-8")
    plan_output.to(settings.terminal, planned, "full")
    shown = plan_view.view(made, cost=plan_output.cost(planned), steps=True, longest=400)
    hidden, view_of_it = reviewed_plan.write(made)
    whole = comment_body.plan(
        shown, hidden="", commit=bulletin.commit, run=bulletin.run.url, approval=approval, limit=SUMMARY
    )
    bulletin.run.summary(whole)
    bulletin.run.output(
        digest=made.digest, changes=len(made.pending), vetoed=str(made.is_vetoed).lower(), environment=made.environment
    )
    overlaps = overlapping_plans.told(settings, bulletin, made)
    commit, run = bulletin.commit, bulletin.run.url
    fitting = comment_body.plan(shown, hidden=hidden, commit=commit, run=run, approval=approval, overlaps=overlaps)
    bulletin.plan(fitting, view_of_it, plan_view.headline(made), vetoed=made.is_vetoed)
