"""Reach a private database through a container in its network, with a port that Session Manager forwards.

Source: AWS Systems Manager User Guide, "Start a session (port forwarding to remote host)"; the target of an ECS task is
``ecs:CLUSTER_TASK_RUNTIME``.
"""

from __future__ import annotations

import socket
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING

from msgspec.structs import replace

from orchestrator import shell
from orchestrator.problems import Problems
from orchestrator.runs import container_exec
from orchestrator.runs.tunnel_task import run_tunnel_task

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.postgresql.connection import ConnectionTarget
    from orchestrator.vocabulary import DesiredState, Resource

FORWARD_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.1
LOCAL_ADDRESS = "127.0.0.1"


@contextmanager
def reach_container(
    desired: DesiredState, database: Resource, via: str, clients: Clients, report: Callable[[str], None]
) -> Iterator[container_exec.ExecTarget]:
    """Yield a container that reaches the database: of the service ``via``, or one that is started for it if that is "".

    Raises Problems if the service has no ECS Exec, no service connects to the database, or a program is missing.
    """
    from orchestrator.aws import Reader

    container_exec.require_programs()
    if via:
        yield container_exec.find_target(desired, via, Reader(clients))
        return
    with run_tunnel_task(desired, database, clients, report) as container:
        yield container


@contextmanager
def open_tunnel(container: container_exec.ExecTarget, target: ConnectionTarget) -> Iterator[ConnectionTarget]:
    """Forward a free local port through the container for the length of a ``with`` block.

    Yields the target as it is reached: its certificate is still checked against the name of its own host.
    """
    with socket.create_server((LOCAL_ADDRESS, 0)) as server:
        port: int = server.getsockname()[1]
    command = container_exec.build_forward_command(container, target.host, target.port, port)
    with shell.run_in_background(command) as exit_code:
        wait_for_port(port, exit_code)
        yield replace(target, host_address=LOCAL_ADDRESS, port=port)


def wait_for_port(
    port: int, exit_code: Callable[[], int | None], *, pause: Callable[[float], None] = time.sleep
) -> None:
    """Wait until something listens on a local port.  Raises Problems if the program ends before, or after 30 s."""
    deadline = time.monotonic() + FORWARD_TIMEOUT_SECONDS
    while time.monotonic() < deadline and exit_code() is None:
        try:
            socket.create_connection((LOCAL_ADDRESS, port), timeout=1).close()
            return
        except OSError:
            pause(POLL_SECONDS)
    code = exit_code()
    ending = (
        f"ended with status {code}" if code is not None else f"did not respond within {FORWARD_TIMEOUT_SECONDS:.0f} s"
    )
    raise Problems.from_message(
        f"the session to the database {ending}",
        hint="check that your credentials allow ssm:StartSession on the task and the document "
        "AWS-StartPortForwardingSessionToRemoteHost",
    )
