"""``orchestrator token``: manage the tokens of the state service."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import CliCommand
from orchestrator.cli.options import common_options, format_option
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.state.server.store import Store

DAY_SECONDS = 86_400.0
DATABASE_OPTION = click.option("--database", default="", metavar="URL", help="Database of the state service.")


@click.group("token")
def command() -> None:
    """Create, list and revoke tokens of the state service.

    Uses the database of the state service (`orchestrator serve`), which --database or State__Database sets.
    """


@command.command("create", cls=CliCommand, examples=("orchestrator token create ci --scope write --days 30",))
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, default=("read",), help="read, propose, write, operate; repeatable.")
@click.option(
    "--only",
    default="",
    metavar="PROJECT/ENVIRONMENT",
    help="The only environment that the token can write to, e.g. shop/prod.",
)
@click.option(
    "--days", type=click.IntRange(1, 3650), default=90, show_default=True, help="Days until the token expires."
)
@DATABASE_OPTION
@common_options
def create(settings: Settings, name: str, scopes: tuple[str, ...], only: str, days: int, database: str) -> int:
    """Create a token and print it once; only its hash is stored."""
    from orchestrator.state.server.access import TokenGrant, check_environment_limit, create_token

    check_environment_limit(only)
    token = create_token(
        _open_store(database), name, TokenGrant(tuple(scopes), only), days * DAY_SECONDS, getpass.getuser()
    )
    settings.terminal.print_out(token)
    settings.terminal.print_err("Pass it to a run as ORCHESTRATOR_STATE_TOKEN. It is not shown again.")
    return 0


@command.command("list", cls=CliCommand, examples=("orchestrator token list",))
@DATABASE_OPTION
@format_option("text", "json")
@common_options
def list_(settings: Settings, database: str, output_format: str) -> int:
    """List the tokens, without their secrets."""
    from orchestrator import canonical_json
    from orchestrator.state.protocol.timestamps import format_timestamp
    from orchestrator.state.server.access import list_tokens

    if output_format == "json":
        settings.terminal.print_out(canonical_json.dump(list_tokens(_open_store(database))).decode())
        return 0
    for token in list_tokens(_open_store(database)):
        state = "revoked" if token.revoked else f"until {format_timestamp(token.until)[:10]}"
        environment_note = f", only {token.environment}" if token.environment else ""
        settings.terminal.print_out(f"{token.name}: {', '.join(token.scopes)}{environment_note}; {state}")
    return 0


@command.command("revoke", cls=CliCommand, examples=("orchestrator token revoke ci",))
@click.argument("name")
@DATABASE_OPTION
@common_options
def revoke(settings: Settings, name: str, database: str) -> int:
    """Revoke a token."""
    from orchestrator.state.server.access import revoke_token

    revoke_token(_open_store(database), name, getpass.getuser())
    settings.terminal.print_out(f"Revoked token {name}.")
    return 0


def _open_store(database: str) -> Store:
    from orchestrator.state.server.startup import load_settings
    from orchestrator.state.server.store import Store

    return Store.open(load_settings(os.environ, database=database, host="127.0.0.1").database)
