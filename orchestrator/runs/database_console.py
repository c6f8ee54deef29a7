"""Open a prompt on a database of the project, directly or through a container that reaches it."""

from __future__ import annotations

import socket
import time
from collections.abc import Callable
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator import shell
from orchestrator.problems import Problems
from orchestrator.runs import container_exec
from orchestrator.runs.settings import Settings

if TYPE_CHECKING:
    from orchestrator.postgresql.connection import ConnectionTarget
    from orchestrator.vocabulary import DesiredState

FORWARD_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.1


def open_console(settings: Settings, name: str, *, via: str = "", can_write: bool = False) -> int:
    """Run ``psql`` on the database ``name`` and return its exit code; it only reads unless ``can_write``.

    A database without a public address is reached through a container of the service ``via``, or of the first one on
    ECS Express.  Raises Problems if there is no way, a program is missing, or the password cannot be read.
    """
    from orchestrator.aws import Clients, Reader
    from orchestrator.planning import pipeline
    from orchestrator.postgresql.connection import require_programs
    from orchestrator.recovery.database_restore import find_database
    from orchestrator.runs.migrate import find_target

    require_programs("psql")
    manifest = pipeline.validate(settings.manifests, settings.environment)
    desired = pipeline.expand_manifest(manifest, include_artefacts=False)
    database = find_database(desired, name)
    clients = Clients.for_scope(desired.scope)
    pipeline.check_connection(clients)
    if database.spec["public"]:
        return _run_psql(find_target(manifest, clients, name, ""), can_write=can_write)
    service = via or find_service_for(desired, database.component)
    container_exec.require_programs()
    container = container_exec.find_target(desired, service, Reader(clients))
    return run_through(container, find_target(manifest, clients, name, ""), can_write=can_write)


def find_service_for(desired: DesiredState, database: str) -> str:
    """Return the first service on ECS Express.  Raises Problems if there is none."""
    for resource in desired.resources:
        if resource.type == "ecs_express_service":
            return resource.component
    raise Problems.from_message(
        f"{database} cannot be reached: it has no public address, and no ECS Express service connects to it",
        hint="open a VPC environment of AWS CloudShell in the database's subnets and security group; it has psql",
    )


def run_through(container: container_exec.ExecTarget, target: ConnectionTarget, *, can_write: bool) -> int:
    """Forward a free local port through the container, and run ``psql`` on it."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        port: int = server.getsockname()[1]
    command = container_exec.build_forward_command(container, target.host, target.port, port)
    with shell.run_in_background(command) as exit_code:
        wait_for_port(port, exit_code)
        return _run_psql(replace(target, host="127.0.0.1", port=port), can_write=can_write)


def wait_for_port(
    port: int, exit_code: Callable[[], int | None], *, pause: Callable[[float], None] = time.sleep
) -> None:
    """Wait until something listens on a local port.  Raises Problems if the program ends before, or after 30 s."""
    deadline = time.monotonic() + FORWARD_TIMEOUT_SECONDS
    while time.monotonic() < deadline and exit_code() is None:
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
            return
        except OSError:
            pause(POLL_SECONDS)
    code = exit_code()
    ending = f"ended with status {code}" if code is not None else f"did not answer in {FORWARD_TIMEOUT_SECONDS:.0f} s"
    raise Problems.from_message(
        f"the session to the database {ending}",
        hint="check that your credentials allow ssm:StartSession on the task and the document "
        "AWS-StartPortForwardingSessionToRemoteHost",
    )


def _run_psql(target: ConnectionTarget, *, can_write: bool) -> int:
    """Run ``psql``; the password is in its environment, never on a command line."""
    options = "" if can_write else "-c default_transaction_read_only=on"
    environment = {**target.environment(), "PGOPTIONS": options, "PGAPPNAME": "orchestrator console"}
    return shell.run_interactive(["psql"], environment)
