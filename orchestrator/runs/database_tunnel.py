"""Reach a private database through a container in its network, with a port that Session Manager forwards.

Source: AWS Systems Manager User Guide, "Start a session (port forwarding to remote host)"; the target of an ECS task is
``ecs:CLUSTER_TASK_RUNTIME``.
"""

from __future__ import annotations

import socket
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from typing import TYPE_CHECKING

from orchestrator import shell
from orchestrator.problems import Problems
from orchestrator.runs import container_exec
from orchestrator.runs.tunnel_task import run_tunnel_task

if TYPE_CHECKING:
    from orchestrator.aws import Clients
    from orchestrator.postgresql.connection import Route
    from orchestrator.vocabulary import DesiredState, Resource

VIA_DIRECT, VIA_VPC = "direct", "vpc"
FORWARD_TIMEOUT_SECONDS = 30.0
POLL_SECONDS = 0.1
LOCAL_ADDRESS = "127.0.0.1"


@contextmanager
def open_route(
    desired: DesiredState, database: Resource, via: str, clients: Clients, report: Callable[[str], None]
) -> Iterator[Route | None]:
    """Yield how this machine reaches hosts in the network of ``database``, for the length of a ``with`` block.

    ``via``: VIA_DIRECT yields None; VIA_VPC starts a task in the network, and the name of a service on ECS Express uses
    one of its containers.  The container, and a session for each host, begin when the route is first used, and end with
    the block.  Raises Problems if a program is missing; using the route does, if the service has no ECS Exec or no
    service connects to the database.
    """
    if via == VIA_DIRECT:
        yield None
        return
    container_exec.require_programs()
    with ExitStack() as stack:

        def open_container() -> container_exec.ExecTarget:
            return stack.enter_context(_reach_container(desired, database, via, clients, report))

        yield Tunnels(open_container, stack).reach


@contextmanager
def _reach_container(
    desired: DesiredState, database: Resource, via: str, clients: Clients, report: Callable[[str], None]
) -> Iterator[container_exec.ExecTarget]:
    from orchestrator.aws import Reader

    if via == VIA_VPC:
        with run_tunnel_task(desired, database, clients, report) as container:
            yield container
    else:
        yield container_exec.find_target(desired, via, Reader(clients))


class Tunnels:
    """Local ports that lead through one container, one for each host. May be used by several threads."""

    def __init__(self, open_container: Callable[[], container_exec.ExecTarget], stack: ExitStack) -> None:
        self._open_container = open_container
        self._stack = stack
        self._lock = threading.Lock()
        self._container: container_exec.ExecTarget | None = None
        self._ports: dict[tuple[str, int], tuple[int, Callable[[], int | None]]] = {}

    def reach(self, host: str, port: int) -> tuple[str, int]:
        """Return the local address and port that lead to a host; a session that has ended is opened again."""
        with self._lock:
            local_port, exit_code = self._ports.get((host, port), (0, None))
            if exit_code is None or exit_code() is not None:
                local_port = self._forward(host, port)
            return LOCAL_ADDRESS, local_port

    def _forward(self, host: str, port: int) -> int:
        if self._container is None:
            self._container = self._open_container()
        with socket.create_server((LOCAL_ADDRESS, 0)) as server:
            local_port: int = server.getsockname()[1]
        command = container_exec.build_forward_command(self._container, host, port, local_port)
        exit_code = self._stack.enter_context(shell.run_in_background(command))
        wait_for_port(local_port, exit_code)
        self._ports[host, port] = local_port, exit_code
        return local_port


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
