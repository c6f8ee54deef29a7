"""``orchestrator exec``: run a command in a container of a service."""

from __future__ import annotations

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.cli.value_completion import complete_service
from orchestrator.runs.settings import Settings


@cli_command(
    "exec",
    "orchestrator exec api -e prod -- /bin/sh",
    "orchestrator exec api -- dotnet --info",
    streams=True,
)
@click.argument("component", shell_complete=complete_service)
@click.argument("words", nargs=-1, required=True, metavar="-- COMMAND...")
@project_options
def command(settings: Settings, component: str, words: tuple[str, ...]) -> int:
    """Run a command in a container of a service.

    Runs the command in the newest running task, through ECS Exec, the AWS CLI and its Session Manager plugin, with your
    own credentials. If ECS Exec is disabled, prints how to enable it. App Runner does not support it. Returns the exit
    code of the AWS CLI.
    """
    from orchestrator import shell
    from orchestrator.aws import Clients, Reader
    from orchestrator.planning import pipeline
    from orchestrator.runs import container_exec

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    clients = Clients.for_scope(desired.scope)
    pipeline.check_connection(clients)
    target = container_exec.find_target(desired, component, Reader(clients))
    container_exec.require_programs()
    return shell.run_interactive(container_exec.build_command(target, words))
