"""Stand-ins for the programs with which a private database is reached."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest

AWS_CLI = """
import json, os, socket, sys, threading
wanted = {name: values[0] for name, values in json.loads(sys.argv[-1]).items()}
assert "AWS-StartPortForwardingSessionToRemoteHost" in sys.argv
with open(os.environ["SESSIONS"], "a") as sessions:
    print(sys.argv[sys.argv.index("--target") + 1], wanted["host"], os.getpid(), file=sessions)
def forward(origin, goal):
    while data := origin.recv(65536):
        goal.sendall(data)
    goal.shutdown(socket.SHUT_WR)
with socket.create_server(("127.0.0.1", int(wanted["localPortNumber"]))) as listener:
    while True:
        client, server = listener.accept()[0], socket.create_connection((wanted["host"], int(wanted["portNumber"])))
        for pair in ((client, server), (server, client)):
            threading.Thread(target=forward, args=pair, daemon=True).start()
"""
"""A stand-in for the AWS CLI with its plugin: it forwards the port, as the agent in the container does."""


@pytest.fixture
def session_log(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Install the stand-ins; the file that gets a line for each session: its target, its host and the process."""
    folder = tmp_path / "programs"
    folder.mkdir()
    for name in ("aws", "session-manager-plugin"):
        (folder / name).write_text(f"#!{sys.executable}\n{AWS_CLI}")
        (folder / name).chmod(0o755)
    monkeypatch.setenv("PATH", f"{folder}{os.pathsep}{os.environ['PATH']}")
    monkeypatch.setenv("SESSIONS", str(folder / "sessions"))
    return folder / "sessions"
