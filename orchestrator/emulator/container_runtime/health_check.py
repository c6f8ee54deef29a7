"""Run the health check of App Runner and of ECS's load balancer against a local process."""

from __future__ import annotations

import http.client
import socket
import threading
import time

from orchestrator.emulator.container_runtime.container import Instance
from orchestrator.emulator.server_protocol import Params

RETRY_INTERVAL_SECONDS = 0.05
"""Pause between two connection attempts to a port that nothing listens on yet."""


def wait_until_healthy(instance: Instance, check: Params, cancelled: threading.Event) -> str:
    """Wait until an instance is healthy or not; return "", or the reason why it is not healthy.

    ``check`` is a HealthCheckConfiguration; during its ``Grace`` seconds nothing has to listen yet. A process that
    exited is not healthy, nor is one whose start was ``cancelled``.
    """
    healthy_count = unhealthy_count = 0
    grace_deadline = time.monotonic() + float(check.get("Grace", 0))
    while True:
        check_started = time.monotonic()
        failure = _check_until_listening(
            instance, check, max(grace_deadline, check_started + float(check["Interval"])), cancelled
        )
        healthy_count, unhealthy_count = (0, unhealthy_count + 1) if failure else (healthy_count + 1, 0)
        if instance.exit_code is not None:
            return f"the container exited with status {instance.exit_code}"
        if healthy_count >= int(check["HealthyThreshold"]):
            return ""
        if unhealthy_count >= int(check["UnhealthyThreshold"]):
            return f"{unhealthy_count} health check{'s' * (unhealthy_count > 1)} failed: {failure}"
        if cancelled.wait(max(0.0, check_started + float(check["Interval"]) - time.monotonic())):
            return "the start was cancelled"


def _check_until_listening(instance: Instance, check: Params, deadline: float, cancelled: threading.Event) -> str:
    """Run one check, retrying until the deadline while nothing listens; return the failure, or ""."""
    while True:
        try:
            return _check_once(instance.port, check)
        except ConnectionRefusedError:
            if (
                instance.exit_code is not None
                or time.monotonic() + RETRY_INTERVAL_SECONDS > deadline
                or cancelled.wait(RETRY_INTERVAL_SECONDS)
            ):
                return (
                    f"nothing listens on port {instance.declared_port}: "
                    "the container must listen on the port in the PORT variable"
                )


def _check_once(port: int, check: Params) -> str:
    """Run one check; return the failure, or "". Raises ConnectionRefusedError."""
    timeout = float(check["Timeout"])
    if check["Protocol"] == "TCP":
        return _check_tcp(port, timeout)
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=timeout)
    try:
        connection.request("GET", check["Path"])
        status = connection.getresponse().status
    except ConnectionRefusedError:
        raise
    except (OSError, http.client.HTTPException) as error:
        return f"GET {check['Path']} got no response ({type(error).__name__})"
    finally:
        connection.close()
    return "" if status == 200 else f"GET {check['Path']} returned {status} instead of 200"


def _check_tcp(port: int, timeout: float) -> str:
    try:
        with socket.create_connection(("127.0.0.1", port), timeout):
            return ""
    except ConnectionRefusedError:
        raise
    except OSError as error:
        return f"cannot connect to the port ({type(error).__name__})"
