"""``orchestrator logs``: print what the containers of a service wrote."""

from __future__ import annotations

import re

import click

from orchestrator.cli.command import cli_command
from orchestrator.cli.options import project_options
from orchestrator.cli.value_completion import complete_service
from orchestrator.runs.settings import Settings

_DURATION = re.compile(r"(?P<count>[0-9]{1,5})(?P<unit>[smhd])")
_UNIT_SECONDS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


def parse_duration(_context: click.Context, _parameter: click.Parameter, value: str) -> int:
    """Return a duration such as ``90s``, ``10m``, ``2h`` or ``1d`` in seconds."""
    if duration := _DURATION.fullmatch(value):
        return int(duration["count"]) * _UNIT_SECONDS[duration["unit"]]
    raise click.BadParameter("must be a number followed by s, m, h or d, such as 10m")


def parse_pattern(_context: click.Context, _parameter: click.Parameter, value: str | None) -> re.Pattern[str] | None:
    """Return a compiled regular expression."""
    try:
        return re.compile(value) if value else None
    except re.error as error:
        raise click.BadParameter(f"is not a valid regular expression: {error}") from None


@cli_command(
    "logs",
    "orchestrator logs api -e prod",
    "orchestrator logs api --since 2h --grep 'ERROR|Exception'",
    "orchestrator logs api --follow",
    streams=True,
)
@click.argument("component", shell_complete=complete_service)
@click.option(
    "--since",
    callback=parse_duration,
    default="10m",
    show_default=True,
    metavar="TIME",
    help="How far back to start, such as 10m, 2h or 1d.",
)
@click.option("--follow", is_flag=True, help="Wait for more lines until you press Ctrl-C.")
@click.option("--grep", "pattern", callback=parse_pattern, metavar="REGEX", help="Print only matching lines.")
@project_options
def command(settings: Settings, component: str, since: int, follow: bool, pattern: re.Pattern[str] | None) -> None:
    """Print the logs of a service's containers.

    Each line starts with its time in UTC. COMPONENT is a ContainerService, such as api or containerservice.api. Reads
    CloudWatch Logs with your own credentials (logs:FilterLogEvents). Text that looks like a secret is redacted.
    """
    import time
    from datetime import UTC, datetime

    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.runs import service_logs

    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    clients = Clients.for_scope(desired.scope)
    pipeline.check_connection(clients)
    log_group = service_logs.find_log_group(desired, component, clients)
    query = service_logs.LogQuery(time.time() - since, pattern, follow)
    printed = False
    for line in service_logs.read_lines(clients, log_group, query):
        at = datetime.fromtimestamp(line.at_milliseconds / 1000, UTC).strftime("%Y-%m-%dT%H:%M:%S.%fZ")
        settings.terminal.print_out(f"{at[:23]}Z {line.text}")
        printed = True
    if not printed:
        settings.terminal.print_err(f"{log_group} has no matching lines in this period.")
