"""``orchestrator doctor``: check the set-up, and print how to fix what is missing."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import format_option, project_options
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.github.client import GitHub


@cli_command(
    "doctor",
    "orchestrator doctor -e prod",
    "orchestrator doctor --format json | jq '.findings[] | select(.state != \"ok\")'",
    "orchestrator doctor --account",
)
@format_option("text", "json", help_text="Format of the report.")
@click.option(
    "--timeout",
    type=click.FloatRange(1, 600),
    default=30,
    show_default=True,
    help="Timeout in seconds. A check that takes longer is reported as not checked.",
)
@click.option(
    "--account",
    "with_account",
    is_flag=True,
    help="Also check what AWS allows this account: its AWS plan, quotas, service-linked roles, and the deploy role.",
)
@project_options
def command(settings: Settings, output_format: Literal["text", "json"], timeout: float, with_account: bool) -> int:
    """Check the set-up, and print how to fix what is missing. Changes nothing.

    Checks the repository, the manifests, the workflows, the image builder, AWS (credentials, roles and their trust
    policies, the resources that a plan reads, the release bucket), the repository on GitHub and the state service.
    Works on a laptop or a runner. With --account, also checks what AWS allows this account: the Free plan, quotas,
    whether RDS offers the database, and (with the IAM policy simulator) the permissions of the deploy role. Use
    --account before the first deploy. Exits 1 if something is missing, otherwise 0. A check that cannot run is
    reported, but does not count as a failure.
    """
    import json
    import os

    from orchestrator.doctor import DoctorContext, finding_report
    from orchestrator.doctor.runner import run_checks
    from orchestrator.problems import ExitCode
    from orchestrator.render import problem_text

    context = DoctorContext(
        settings.manifests,
        settings.environment,
        os.environ,
        settings.command_line,
        _create_clients,
        _create_github_client,
    )
    findings = run_checks(context, timeout, with_account=with_account)
    terminal = settings.terminal
    if output_format == "json":
        terminal.print_out(
            json.dumps(finding_report.to_document(findings, settings.environment), indent=2, ensure_ascii=False)
        )
    else:
        terminal.print_out(finding_report.render_text(findings, terminal.style))
    missing = finding_report.to_problems(findings)
    if terminal.is_github_actions and missing:
        terminal.print_err(problem_text.render_annotations(missing))
    return ExitCode.FAILED if missing else ExitCode.OK


def _create_clients(region: str) -> Clients:
    from orchestrator.aws import Clients

    return Clients(region, attempts=2)


def _create_github_client(repository: str) -> GitHub:
    from orchestrator.cli.commands.bootstrap import github_client

    return github_client(repository, attempts=2)
