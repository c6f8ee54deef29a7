"""Run one container as a local process, with its files in a folder that is deleted with it."""

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

INIT_SCRIPT = Path(__file__).with_name("container_init.py")
PORT_VARIABLES = ("ASPNETCORE_HTTP_PORTS", "ASPNETCORE_URLS", "DOTNET_URLS", "SERVER_PORT")
PORT_RANGE = range(20_000, 32_000)
"""Below the ports Linux gives to outgoing connections (net.ipv4.ip_local_port_range starts at 32768)."""
MAX_PORT_TRIES = 50
STOP_GRACE_SECONDS = 2.0
"""Pause between SIGTERM and SIGKILL."""


class Instance:
    """A running process. It is told to listen on ``port`` of 127.0.0.1; ``declared_port`` is the service's own.

    All processes share this machine's ports, so each gets a port of its own: in ``PORT``, and in the variables that
    runtimes without ``PORT`` read instead (``ASPNETCORE_URLS=http://+:8080``).
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
            # An empty environment keeps this process's variables out of the container.
            self._process = subprocess.Popen(
                [sys.executable, "-I", "-S", str(INIT_SCRIPT)],
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
        """Return the exit status, negative for a signal, or None while the process runs."""
        return self._process.poll()

    def read_log_tail(self) -> list[str]:
        """Return the last 50 lines of the output."""
        try:
            return self._output.read_text(errors="replace").splitlines()[-50:]
        except OSError:
            return []

    def read_lines(self, *, is_over: bool) -> list[str]:
        """Return all complete lines of the output; the last one too if the process is over."""
        text = self._output.read_text(errors="replace")
        return (text if is_over else text[: text.rfind("\n") + 1]).splitlines()

    def stop(self) -> None:
        """Stop the process, by force if necessary, and delete its files."""
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
    """Return why this machine cannot run processes with their own root directory, or ""."""
    if sys.platform != "linux":
        return "running containers as processes requires Linux"
    process_spec = {"root": "/", "command": ["/bin/true"], "environment": {}, "folder": "/", "user": os.getuid()}
    init_process = subprocess.Popen(
        [sys.executable, "-I", "-S", str(INIT_SCRIPT)],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
    )
    with init_process:
        assert init_process.stdin is not None
        assert init_process.stdout is not None
        init_process.stdin.write(json.dumps({**process_spec, "group": os.getgid()}).encode() + b"\n")
        init_process.stdin.flush()
        init_output = init_process.stdout.read().decode(errors="replace").strip()
    return (
        ""
        if init_process.returncode == 0
        else f"this machine does not allow processes to change their root directory ({init_output.rpartition('] ')[2]})"
    )


def _find_free_port() -> int:
    """Return a free port outside the range of outgoing connections. Raises OSError if there is none.

    The process binds it a moment later; inside that range, an outgoing connection could take it first.
    """
    for port in random.sample(PORT_RANGE, MAX_PORT_TRIES):
        with contextlib.suppress(OSError), socket.socket(socket.AF_INET, socket.SOCK_STREAM) as sock:
            sock.bind(("127.0.0.1", port))
            return port
    message = f"no free port: tried {MAX_PORT_TRIES} ports between {PORT_RANGE.start} and {PORT_RANGE.stop}"
    raise OSError(message)
