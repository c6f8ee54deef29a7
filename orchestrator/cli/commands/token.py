"""``orchestrator token``: the tokens with which scripts write to the state service."""

from __future__ import annotations

import getpass
import os
from typing import TYPE_CHECKING

import click

from orchestrator.cli.command import Verb
from orchestrator.cli.options import common
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.state.server.store import Store

DAY = 86_400.0
URL = click.option("--database", default="", metavar="URL", help="The service's database.")


@click.group("token")
def command() -> None:
    """Make, list and revoke tokens of that service.

    That is the state service, `orchestrator serve`. It works on the service's database: --database, or State__Database.
    """


@command.command("create", cls=Verb, examples=("orchestrator token create ci --scope write --days 30",))
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, default=("read",), help="read, propose, write, operate; repeatable.")
@click.option("--only", default="", metavar="ENVIRONMENT", help="Let it write to this environment alone, e.g. prod.")
@click.option("--days", type=click.IntRange(1, 3650), default=90, show_default=True)
@URL
@common
def create(settings: Settings, name: str, scopes: tuple[str, ...], only: str, days: int, database: str) -> int:
    """Print a new token, this once; it is stored hashed."""
    from orchestrator.state.server.access import Grant, create_token

    token = create_token(_store(database), name, Grant(tuple(scopes), only), days * DAY, getpass.getuser())
    settings.terminal.say(token)
    settings.terminal.tell("Hand it to a run as ORCHESTRATOR_STATE_TOKEN. It is not shown again.")
    return 0


@command.command("list", cls=Verb, examples=("orchestrator token list",))
@URL
@common
def list_(settings: Settings, database: str) -> int:
    """List the tokens, without what would open anything."""
    from orchestrator.state.protocol.timestamps import stamp
    from orchestrator.state.server.access import list_tokens

    for token in list_tokens(_store(database)):
        state = "revoked" if token.revoked else f"until {stamp(token.until)[:10]}"
        only = f", only {token.environment}" if token.environment else ""
        settings.terminal.say(f"{token.name}: {', '.join(token.scopes)}{only}; {state}")
    return 0


@command.command("revoke", cls=Verb, examples=("orchestrator token revoke ci",))
@click.argument("name")
@URL
@common
def revoke(settings: Settings, name: str, database: str) -> int:
    """Make a token worthless."""
    from orchestrator.state.server.access import revoke_token

    revoke_token(_store(database), name, getpass.getuser())
    settings.terminal.say(f"The token {name} opens nothing any more.")
    return 0


def _store(database: str) -> Store:
    from orchestrator.state.server.startup import settle
    from orchestrator.state.server.store import Store

    return Store.open(settle(os.environ, database=database, host="127.0.0.1").database)
