"""One container as a process of this machine, with its files in a folder that goes with it."""

from __future__ import annotations

import contextlib
import json
import os
import random
import re
import shutil
import signal
import socket
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from orchestrator.emulator.container_runtime.image_puller import Image

GUARD_SCRIPT = Path(__file__).with_name("container_init.py")
PORT_VARIABLES = ("ASPNETCORE_HTTP_PORTS", "ASPNETCORE_URLS", "DOTNET_URLS", "SERVER_PORT")
PORT_RANGE = range(20_000, 32_000)
"""Below what Linux gives to outgoing connections (net.ipv4.ip_local_port_range begins at 32768)."""
MAX_PORT_TRIES = 50
STOP_GRACE_SECONDS = 2.0
"""Seconds between being asked to end and being killed."""


class Instance:
    """A running process.  ``port`` on 127.0.0.1 is where it was told to listen, ``named`` the port App Runner was told.

    All processes share this machine's ports, so each has another one than the service says: in ``PORT``, and in the
    variables by which runtimes that do not read ``PORT`` are told (``ASPNETCORE_URLS=http://+:8080``).
    """

    def __init__(
        self, image: Image, environment: Mapping[str, str], command: tuple[str, ...], folder: Path, declared_port: str
    ) -> None:
        self.port = _find_free_port()
        self.declared_port = declared_port
        self._folder = folder
        self._output = folder / "output"
        process_spec = {
            "root": str(image.root),
            "command": list(command or image.command),
            "environment": self._rewrite_ports({**image.environment, **environment}),
            "folder": image.working_dir,
            "user": image.user,
            "group": image.group,
        }
        with self._output.open("wb") as output:
            # The guard needs nothing of ours, so nothing of ours reaches the container.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD_SCRIPT)],
                env={},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(process_spec).encode() + b"\n")
            self._process.stdin.flush()

    def _rewrite_ports(self, environment: Mapping[str, str]) -> dict[str, str]:
        port_pattern = re.compile(rf"(?<!\d){re.escape(self.declared_port)}(?!\d)")
        rewritten = {
            name: port_pattern.sub(str(self.port), environment[name]) for name in PORT_VARIABLES if name in environment
        }
        return {**environment, **rewritten, "PORT": str(self.port)}

    @property
    def exit_code(self) -> int | None:
        """The exit status, negative for a signal, or None while it runs."""
        return self._process.poll()

    def read_log_tail(self) -> list[str]:
        """The last lines of what it printed."""
        try:
            return self._output.read_text(errors="replace").splitlines()[-50:]
        except OSError:
            return []

    def stop(self) -> None:
        """End it, by force if it does not go, and remove its files."""
        process = self._process
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGTERM)
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(STOP_GRACE_SECONDS)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def check_isolation() -> str:
    """Why this machine lets nothing run with files of its own, in a sentence, or nothing."""
    if sys.platform != "linux":
        return "containers are run as processes on Linux only"
    process_spec = {"root": "/", "command": ["/bin/true"], "environment": {}, "folder": "/", "user": os.getuid()}
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        guard.stdin.write(json.dumps({**process_spec, "group": os.getgid()}).encode() + b"\n")
        guard.stdin.flush()
        guard_output = guard.stdout.read().decode(errors="replace").strip()
    return (
        ""
        if guard.returncode == 0
        else f"no process may have files of its own here ({guard_output.rpartition('] ')[2]})"
    )


def _find_free_port() -> int:
    """A port that nobody listens on, of those that no connection is given by itself.

    The process takes it a moment later; of the others, a connection that somebody opens may be there first.
    """
    for port in random.sample(PORT_RANGE, MAX_PORT_TRIES):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.bind(("127.0.0.1", port))
            return port
    message = f"none of {MAX_PORT_TRIES} ports between {PORT_RANGE.start} and {PORT_RANGE.stop} is free"
    raise OSError(message)
