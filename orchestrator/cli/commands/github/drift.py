"""``orchestrator github drift``: look for drift, keep one issue about it, and answer it when asked to."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import common
from orchestrator.problems import Exit, Problems
from orchestrator.runs import reporter
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.drift_acceptance import Edited
    from orchestrator.github.notifications import Bulletin
    from orchestrator.planning.plan import Planned
    from orchestrator.release.checkout import Wanted

Answer = Literal["report", "accept", "revert"]
TARGETS = r"[A-Za-z0-9_.:, /-]{1,500}"


@verb(
    "drift", "orchestrator github drift -e prod", "orchestrator github drift --answer accept --targets s3_bucket.files"
)
@click.option(
    "--answer",
    type=click.Choice(["report", "accept", "revert"]),
    default="report",
    show_default=True,
    envvar="ORCHESTRATOR_ANSWER",
    help="Report; or make a pull request by which the manifests say what AWS has; or put AWS back.",
)
@click.option("--targets", default="all", envvar="ORCHESTRATOR_TARGETS", help="Of accept: what, comma-separated.")
@click.option("--allow", default="", envvar="ORCHESTRATOR_ALLOW", metavar="TOKEN", help="Lift the vetoes of one plan.")
@common
def command(settings: Settings, answer: Answer, targets: str, allow: str) -> int:
    """Look for drift and tell it in one issue, which is closed when it has healed.

    `accept` makes a pull request that edits the manifests and keeps their comments and layout. `revert` deploys what
    the manifests say; whoever starts the workflow has agreed to it. Exits 0 whether or not there is drift.
    """
    from orchestrator.cli.commands.github.deploy import demand
    from orchestrator.github.notifications import Bulletin

    demand(targets, TARGETS, "the list of targets", "`all`, or addresses as the issue names them, comma-separated")
    demand(allow, r"([0-9a-f]{8})?", "the token to allow", "8 hexadecimal digits, as a vetoed plan prints them")
    bulletin = Bulletin.here(settings.manifests, settings.environment)
    code: int = Exit.OK
    if answer == "accept":
        code = _accept(settings, bulletin, [one.strip() for one in targets.split(",") if one.strip()])
    elif answer == "revert":
        code = _revert(settings, bulletin, allow)
    else:
        _report(settings, bulletin)
    return code


def _report(settings: Settings, bulletin: Bulletin) -> tuple[Wanted, Planned]:
    """Look, and tell the issue, the run's page and its outputs."""
    from orchestrator.github import comment_body, drift_issue
    from orchestrator.planning import pipeline
    from orchestrator.release import checkout
    from orchestrator.render import drift, plan_markdown

    asked = checkout.of(settings.manifests, settings.environment)
    planned = pipeline.plan(asked.desired, clients=asked.clients)
    seen = drift.view(planned.plan)
    reporter.looked(settings, seen, planned)
    settings.terminal.say(drift.text(seen, settings.terminal.style, loud=True))
    marker = plan_markdown.marker(bulletin.marker, "drift-issue")
    body = comment_body.drift(seen, marker, bulletin.commit, bulletin.run.url)
    bulletin.run.summary(body)
    bulletin.run.output(
        drifted=str(seen.has_drifted).lower(), count=seen.count(drift.Sync.DRIFTED), coverage=f"{seen.coverage:g}"
    )
    github = bulletin.github
    assert github is not None
    if seen.has_drifted:
        url = drift_issue.drifted(github, marker, f"Drift in {seen.title}", body)
    elif planned.plan.unread:
        url = drift_issue.unsure(github, marker, body)
    else:
        url = drift_issue.healed(github, marker, body, f"Healed: {seen.headline}. [Run]({bulletin.run.url})")
    bulletin.run.output(issue=url)
    return asked, planned


def _accept(settings: Settings, bulletin: Bulletin, targets: list[str]) -> int:
    from orchestrator import drift_acceptance
    from orchestrator.aws import Reader
    from orchestrator.planning import pipeline

    asked, planned = _report(settings, bulletin)
    if not planned.plan.pending:
        settings.terminal.say("Nothing has drifted, so there is nothing to accept.")
        return Exit.OK
    manifest = pipeline.validate(settings.manifests, settings.environment)
    assert asked.clients is not None
    edited = drift_acceptance.accept(manifest, asked.artefacts, planned, targets, Reader(asked.clients))
    for sentence in edited.left:
        settings.terminal.tell(f"left as it is: {sentence}")
    if not edited.texts:
        raise Problems.one("none of it can be accepted by an edit", hint="; ".join(edited.left)[:500] or None)
    url = _propose(bulletin, edited)
    settings.terminal.say(f"Proposed: {url}")
    bulletin.run.output(pull_request=url)
    return Exit.OK


def _propose(bulletin: Bulletin, edited: Edited) -> str:
    from orchestrator.github import comment_body, pull_request

    github = bulletin.github
    assert github is not None
    base = str((bulletin.run.event.get("repository") or {}).get("default_branch") or "main")
    files = {os.path.relpath(file): text for file, text in edited.texts.items()}
    title = f"Accept the drift of {bulletin.environment}"
    body = comment_body.accepted(edited.done, edited.left, bulletin.run.url)
    branch = f"orchestrator/drift-{bulletin.environment}"
    return pull_request.propose(github, branch, base, bulletin.commit, files, (title, body))


def _revert(settings: Settings, bulletin: Bulletin, allow: str) -> int:
    """Deploy what the manifests say, and look again."""
    from orchestrator.cli.commands.github.deploy import deploy, told

    code = told(bulletin, settings, lambda: deploy(settings, bulletin, "", allow, what="revert drift", agreed=True))
    if code == Exit.OK:
        _report(settings, bulletin)
    return code
