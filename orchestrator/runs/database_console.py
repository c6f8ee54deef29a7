"""Open a prompt on a database of the project, directly or through a container that reaches it."""

from __future__ import annotations

from typing import TYPE_CHECKING

from orchestrator import shell
from orchestrator.runs.database_access import find_connection, find_live
from orchestrator.runs.database_tunnel import VIA_DIRECT, VIA_VPC, open_route
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.postgresql.connection import ConnectionTarget


def open_console(settings: Settings, name: str, *, via: str = "", can_write: bool = False) -> int:
    """Run ``psql`` on the database ``name`` and return its exit code; it only reads unless ``can_write``.

    A database without a public address is reached through a container of the service ``via``, or a task that is started
    for it.  Raises Problems if there is no way, a program is missing, or the password cannot be read.
    """
    from orchestrator.aws import Clients
    from orchestrator.planning import pipeline
    from orchestrator.postgresql.connection import require_programs
    from orchestrator.recovery.database_restore import find_database

    require_programs("psql")
    desired = pipeline.load_desired(settings.manifests, settings.environment, include_artefacts=False)
    database = find_database(desired, name)
    clients = Clients.for_scope(desired.scope)
    via = VIA_DIRECT if database.spec["public"] else via or VIA_VPC
    with open_route(desired, database, via, clients, settings.terminal.print_err) as route:
        return run_psql(find_connection(find_live(desired, clients, name), clients, "", route), can_write=can_write)


def run_psql(target: ConnectionTarget, *, can_write: bool) -> int:
    """Run ``psql``; the password is in its environment, never on a command line."""
    options = "" if can_write else "-c default_transaction_read_only=on"
    environment = {**target.environment(), "PGOPTIONS": options, "PGAPPNAME": "orchestrator console"}
    return shell.run_interactive(["psql"], environment)
