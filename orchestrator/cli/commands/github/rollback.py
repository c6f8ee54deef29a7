"""``orchestrator github rollback``: an earlier release, started by hand, and everybody is told how it ended."""

from __future__ import annotations

from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import common_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.github.notifications import Notifier


@cli_command("rollback", "orchestrator github rollback -e prod")
@click.option(
    "--to", "release_number", default="", envvar="ORCHESTRATOR_RELEASE", help="Number of the release to go back to."
)
@click.option("--only", "parts", default="", envvar="ORCHESTRATOR_PARTS", help="Parts, comma-separated.")
@click.option("--reason", default="", envvar="ORCHESTRATOR_REASON", help="Why; it is written down.")
@click.option("--allow", default="", envvar="ORCHESTRATOR_ALLOW", metavar="TOKEN", help="Lift the vetoes of one plan.")
@click.option("--plan-only", is_flag=True, envvar="ORCHESTRATOR_PLAN_ONLY", help="Show the plan, and stop there.")
@common_options
def command(settings: Settings, release_number: str, parts: str, reason: str, allow: str, plan_only: bool) -> int:
    """Go back as `orchestrator rollback` does, and tell GitHub. Waits for its turn.

    Whoever starts the workflow has agreed to it. Exits as `orchestrator rollback` does.
    """
    from orchestrator.cli.commands.github.deploy import check_input, notify_on_failure
    from orchestrator.github.notifications import Notifier

    check_input(
        release_number, r"([1-9][0-9]{0,8})?", "the release", "a number that `orchestrator releases` shows, or nothing"
    )
    check_input(parts, r"[A-Za-z0-9_., -]{0,200}", "the parts", "names, comma-separated")
    check_input(allow, r"([0-9a-f]{8})?", "the token to allow", "8 hexadecimal digits, as a vetoed plan prints them")
    bulletin = Notifier.from_environment(settings.manifests, settings.environment)
    number = int(release_number) if release_number else None
    if plan_only:
        return _show_plan(settings, bulletin, number, parts, allow)
    return notify_on_failure(
        bulletin, settings, lambda: _rollback(settings, bulletin, number, parts, reason, allow), "releases"
    )


def _show_plan(settings: Settings, bulletin: Notifier, release_number: int | None, parts: str, allow: str) -> int:
    """The plan on the run's page, and nothing else."""
    from orchestrator.planning import pipeline
    from orchestrator.problems import ExitCode
    from orchestrator.render import plan_markdown, plan_view
    from orchestrator.runs import release

    session = release.open_session(settings, auto_approve=True)
    rollback_target = release.find_rollback_target(session, release_number, parts, should_save_pointers=False)
    planned = pipeline.plan(rollback_target.candidate.desired, allow=allow, clients=session.clients)
    settings.terminal.print_out(release.describe_rollback(rollback_target))
    session.show_plan(planned)
    shown = plan_markdown.render(plan_view.build_view(planned.plan, max_value_characters=400))
    bulletin.run.append_summary(f"{release.describe_rollback(rollback_target)} Nothing was done.\n\n{shown}")
    bulletin.run.set_outputs(
        result="planned", release=rollback_target.current_release.number, digest=planned.plan.digest
    )
    return ExitCode.VETOED if planned.plan.is_vetoed else ExitCode.OK


def _rollback(
    settings: Settings, bulletin: Notifier, release_number: int | None, parts: str, reason: str, allow: str
) -> int:
    from orchestrator.cli.commands.github.deploy import MAX_LOCK_WAIT_SECONDS, veto_problems
    from orchestrator.planning import pipeline
    from orchestrator.runs import release
    from orchestrator.runs.reporter import RunOptions

    session = release.open_session(settings, auto_approve=True)
    bulletin.start_deployment("rollback")
    with session.acquire_lock(
        "rollback", RunOptions(wait_seconds=MAX_LOCK_WAIT_SECONDS, is_service_required=False, reason=reason)
    ) as locked_session:
        rollback_target = release.find_rollback_target(locked_session, release_number, parts, should_save_pointers=True)
        planned = pipeline.plan(rollback_target.candidate.desired, allow=allow, clients=locked_session.clients)
        settings.terminal.print_out(release.describe_rollback(rollback_target))
        if not locked_session.show_plan(planned):
            raise veto_problems(planned.plan)
        retry_command = settings.command_line(
            "rollback", "--to", str(rollback_target.release.number), *(["--only", parts] if parts else [])
        )
        deploy_run = locked_session.execute_deployment(
            planned,
            lambda deployment, on_failure: deployment.rollback(planned, rollback_target, reason, on_failure),
            16,
            retry_command,
        )
        if deploy_run.result and deploy_run.view:
            bulletin.report_result(
                f"{planned.plan.project}/{planned.plan.environment}", deploy_run.view, deploy_run.result
            )
        else:
            bulletin.report_interrupted()
        return deploy_run.exit_code
