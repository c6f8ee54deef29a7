"""``orchestrator console``: open a prompt on something that runs."""

from __future__ import annotations

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import project_options
from orchestrator.cli.value_completion import complete_database, complete_service
from orchestrator.runs.settings import Settings


@click.group("console")
def command() -> None:
    """Open a psql prompt on a database."""


@command.command(
    "database",
    cls=CliCommand,
    examples=(
        "orchestrator console database -e prod",
        "orchestrator console database main --via api --write",
    ),
    streams=True,
)
@click.argument("name", default="main", shell_complete=complete_database)
@click.option(
    "--via",
    default="",
    shell_complete=complete_service,
    metavar="SERVICE",
    help="ECS Express service whose container connects to the database.",
)
@click.option("--write", "can_write", is_flag=True, help="Allow writes. Without it, transactions are read-only.")
@project_options
def database(settings: Settings, name: str, via: str, can_write: bool) -> int:
    """Run psql on a Database, as the application's user.

    A database without a public address is reached through a Fargate task in its network, which costs about 0.02 USD an
    hour and is removed at the end, or with `--via` through a container of a service on ECS Express that has ECS Exec
    enabled (see `orchestrator exec`). The password is passed to psql in an environment variable.
    """
    from orchestrator.runs import database_console

    return database_console.open_console(settings, name, via=via, can_write=can_write)
