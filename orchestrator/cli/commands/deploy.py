"""``orchestrator deploy``: the pipeline, then the proof, then the record."""

from __future__ import annotations

import click

from orchestrator.cli.command import verb
from orchestrator.cli.options import applying, choosing, common, recorded
from orchestrator.runs.reporter import How
from orchestrator.runs.settings import Settings


@verb(
    "deploy",
    "orchestrator deploy -e prod",
    "orchestrator deploy --expect DIGEST",
    "orchestrator deploy --auto-approve --no-build",
)
@click.option("--no-build", is_flag=True, help="Do not run the sites' build commands; ship what is there.")
@applying
@choosing
@recorded
@common
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    no_build: bool,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    targets: tuple[str, ...],
    allow: str,
    how: How,
) -> int:
    """Build, apply, ship, prove, and write the release down.

    Does what apply does, and then asks the services and the CDN whether what answers is what was shipped. If not, it
    goes back to the last release that was proved (or stops, if the Project says `releases.onFailure: stop`). Exits 0
    when released, 1 when it failed, 3 when vetoed, 5 when it failed and the release before stands again.
    """
    from orchestrator.planning import pipeline
    from orchestrator.problems import Exit
    from orchestrator.release import checkout
    from orchestrator.runs import release
    from orchestrator.state.client.run_reporter import Superseded

    desk = release.desk(settings, expect, auto_approve=auto_approve)
    if not no_build:
        desk.build_sites()
    try:
        with desk.writing("deploy", how) as ours:
            asked = checkout.of_manifest(ours.manifest, ours.clients)
            planned = pipeline.plan(asked.desired, targets=targets, allow=allow, clients=ours.clients)
            if not ours.show(planned):
                return Exit.VETOED
            ours.obtain(planned, "Deploy")
            again = settings.command("deploy")
            return ours.carry_out(planned, lambda run, told: run.deploy(planned, asked, told), parallelism, again)
    except Superseded as newer:
        settings.terminal.say(f"Run {newer.by} deploys a newer commit, and this one with it; nothing was done.")
        return Exit.OK
