"""The health check of App Runner and of ECS's load balancer, on a process of this machine."""

from __future__ import annotations

import http.client
import socket
import threading
import time

from orchestrator.emulator.container_runtime.instance import Instance
from orchestrator.emulator.server_protocol import Params

PAUSE = 0.05
"""Seconds between two knocks at a port on which nobody listens yet."""


def trouble(instance: Instance, check: Params, given_up: threading.Event) -> str:
    """Wait until an instance is healthy or not: empty, or why it is not.

    ``check`` is HealthCheckConfiguration; in its ``Grace`` nobody has to listen yet.  A process that ended is not
    healthy; nor is one that was ``given_up``.
    """
    healthy = unhealthy = 0
    grace = time.monotonic() + float(check.get("Grace", 0))
    while True:
        began = time.monotonic()
        saw = _knock(instance, check, max(grace, began + float(check["Interval"])), given_up)
        healthy, unhealthy = (0, unhealthy + 1) if saw else (healthy + 1, 0)
        if instance.ended is not None:
            return f"the container exited with status {instance.ended}"
        if healthy >= int(check["HealthyThreshold"]):
            return ""
        if unhealthy >= int(check["UnhealthyThreshold"]):
            return f"{unhealthy} health check{'s' * (unhealthy > 1)} failed: {saw}"
        if given_up.wait(max(0.0, began + float(check["Interval"]) - time.monotonic())):
            return "it was stopped"


def _knock(instance: Instance, check: Params, until: float, given_up: threading.Event) -> str:
    """One check.  Who does not listen yet is asked again while the interval lasts."""
    while True:
        try:
            return _once(instance.port, check)
        except ConnectionRefusedError:
            if instance.ended is not None or time.monotonic() + PAUSE > until or given_up.wait(PAUSE):
                return (
                    f"nothing listens on port {instance.named}; a container has to listen on the port that PORT names"
                )


def _once(port: int, check: Params) -> str:
    """What is wrong with the answer, or nothing.  Raises ConnectionRefusedError."""
    timeout = float(check["Timeout"])
    if check["Protocol"] == "TCP":
        return _connected(port, timeout)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", check["Path"])
        status = connection.getresponse().status
    except ConnectionRefusedError:
        raise
    except (OSError, http.client.HTTPException) as error:
        return f"GET {check['Path']} was not answered ({type(error).__name__})"
    finally:
        connection.close()
    return "" if status == 200 else f"GET {check['Path']} answered {status} instead of 200"


def _connected(port: int, timeout: float) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout):
            return ""
    except ConnectionRefusedError:
        raise
    except OSError as error:
        return f"the port could not be connected to ({type(error).__name__})"
