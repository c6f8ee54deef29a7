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

GUARD = Path(__file__).with_name("container_init.py")
LISTENING = ("ASPNETCORE_HTTP_PORTS", "ASPNETCORE_URLS", "DOTNET_URLS", "SERVER_PORT")
PORTS = range(20_000, 32_000)
"""Below what Linux gives to outgoing connections (net.ipv4.ip_local_port_range begins at 32768)."""
TRIES = 50
GRACE = 2.0
"""Seconds between being asked to end and being killed."""


class Instance:
    """A running process.  ``port`` on 127.0.0.1 is where it was told to listen, ``named`` the port App Runner was told.

    All processes share this machine's ports, so each has another one than the service says: in ``PORT``, and in the
    variables by which runtimes that do not read ``PORT`` are told (``ASPNETCORE_URLS=http://+:8080``).
    """

    def __init__(
        self, image: Image, environment: Mapping[str, str], command: tuple[str, ...], folder: Path, named: str
    ) -> None:
        self.port = _free_port()
        self.named = named
        self._folder = folder
        self._output = folder / "output"
        wanted = {
            "root": str(image.root),
            "command": list(command or image.command),
            "environment": self._told({**image.environment, **environment}),
            "folder": image.folder,
            "user": image.user,
            "group": image.group,
        }
        with self._output.open("wb") as output:
            # The guard needs nothing of ours, so nothing of ours reaches the container.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(GUARD)],
                env={},
                stdin=subprocess.PIPE,
                stdout=output,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )
        assert self._process.stdin is not None
        with contextlib.suppress(BrokenPipeError):
            self._process.stdin.write(json.dumps(wanted).encode() + b"\n")
            self._process.stdin.flush()

    def _told(self, environment: Mapping[str, str]) -> dict[str, str]:
        named = re.compile(rf"(?<!\d){re.escape(self.named)}(?!\d)")
        told = {name: named.sub(str(self.port), environment[name]) for name in LISTENING if name in environment}
        return {**environment, **told, "PORT": str(self.port)}

    @property
    def ended(self) -> int | None:
        """The exit status, negative for a signal, or None while it runs."""
        return self._process.poll()

    def said(self) -> list[str]:
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
            process.wait(GRACE)
        with contextlib.suppress(ProcessLookupError, PermissionError):
            os.killpg(process.pid, signal.SIGKILL)
        process.wait()
        if process.stdin is not None:
            with contextlib.suppress(OSError):
                process.stdin.close()
        shutil.rmtree(self._folder, ignore_errors=True)


def trouble() -> str:
    """Why this machine lets nothing run with files of its own, in a sentence, or nothing."""
    if sys.platform != "linux":
        return "containers are run as processes on Linux only"
    alone = {"root": "/", "command": ["/bin/true"], "environment": {}, "folder": "/", "user": os.getuid()}
    guard = subprocess.Popen(
        [sys.executable, "-I", "-S", str(GUARD)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with guard:
        assert guard.stdin is not None
        assert guard.stdout is not None
        guard.stdin.write(json.dumps({**alone, "group": os.getgid()}).encode() + b"\n")
        guard.stdin.flush()
        said = guard.stdout.read().decode(errors="replace").strip()
    return "" if guard.returncode == 0 else f"no process may have files of its own here ({said.rpartition('] ')[2]})"


def _free_port() -> int:
    """A port that nobody listens on, of those that no connection is given by itself.

    The process takes it a moment later; of the others, a connection that somebody opens may be there first.
    """
    for port in random.sample(PORTS, TRIES):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as probe:
            probe.bind(("127.0.0.1", port))
            return port
    message = f"none of {TRIES} ports between {PORTS.start} and {PORTS.stop} is free"
    raise OSError(message)
