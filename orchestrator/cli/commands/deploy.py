"""``orchestrator deploy``: the pipeline, then the proof, then the record."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import apply_options, common_options, plan_options, run_options
from orchestrator.runs.reporter import RunOptions
from orchestrator.runs.settings import Settings


@cli_command(
    "deploy",
    "orchestrator deploy -e prod",
    "orchestrator deploy --expect DIGEST",
    "orchestrator deploy --auto-approve --no-build",
)
@click.option("--no-build", is_flag=True, help="Do not run the sites' build commands; ship what is there.")
@apply_options
@plan_options
@run_options
@common_options
def command(  # noqa: PLR0913 - its options
    settings: Settings,
    no_build: bool,
    expect: str,
    auto_approve: bool,
    parallelism: int,
    targets: tuple[str, ...],
    allow: str,
    how: RunOptions,
) -> int:
    """Build, apply, ship, prove, and write the release down.

    Does what apply does, and then asks the services and the CDN whether what answers is what was shipped. If not, it
    goes back to the last release that was proved (or stops, if the Project says `releases.onFailure: stop`). Exits 0
    when released, 1 when it failed, 3 when vetoed, 5 when it failed and the release before stands again.
    """
    from orchestrator.planning import pipeline
    from orchestrator.problems import ExitCode
    from orchestrator.release import checkout
    from orchestrator.runs import release
    from orchestrator.state.client.run_reporter import RunSuperseded

    session = release.open_session(settings, expect, auto_approve=auto_approve)
    if not no_build:
        session.build_sites()
    try:
        with session.acquire_lock("deploy", how) as locked_session:
            candidate = checkout.from_manifest(locked_session.manifest, locked_session.clients)
            planned = pipeline.plan(candidate.desired, targets=targets, allow=allow, clients=locked_session.clients)
            if not locked_session.show_plan(planned):
                return ExitCode.VETOED
            locked_session.confirm(planned, "Deploy")
            retry_command = settings.command_line("deploy")
            return locked_session.execute(
                planned,
                lambda deployment, on_failure: deployment.deploy(planned, candidate, on_failure),
                parallelism,
                retry_command,
            )
    except RunSuperseded as superseded:
        settings.terminal.print_out(
            f"Run {superseded.run_id} deploys a newer commit, and this one with it; nothing was done."
        )
        return ExitCode.OK
