"""A throw-away PostgreSQL: one cluster a test session, a database a test."""

from __future__ import annotations

import os
import pwd
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from itertools import count
from pathlib import Path
from typing import Any

import psycopg

SYSTEM_USER = "postgres"
"""Whom the server runs as where the tests run as root, which PostgreSQL refuses."""
UNSAFE_SETTINGS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""Nobody needs the tests' databases after a crash."""
TEMPLATE_DATABASE = "made"


def find_binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``; None where there is no PostgreSQL."""
    candidates = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    initdb = shutil.which("initdb") or (candidates[-1] if candidates else None)
    return Path(initdb).resolve().parent if initdb else None


class Cluster:
    """A running server; ``database`` makes another database on it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._numbers = count(1)
        self._has_template = False

    def url(self, name: str) -> str:
        """Where a database is."""
        return f"postgresql://app@127.0.0.1:{self.port}/{name}"

    def create_database(self, fill: Callable[[str], None] | None = None) -> str:
        """The URL of a new database; with ``fill`` it is a copy of one that ``fill`` has made, once."""
        name = f"t{next(self._numbers)}"
        if fill is not None and not self._has_template:
            self.execute(f"CREATE DATABASE {TEMPLATE_DATABASE}")
            fill(self.url(TEMPLATE_DATABASE))
            self._has_template = True
        self.execute(f"CREATE DATABASE {name}" + (f" TEMPLATE {TEMPLATE_DATABASE}" if fill else ""))
        return self.url(name)

    def drop_database(self, url: str) -> None:
        """Forget a database, whoever still uses it."""
        self.execute(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def execute(self, statement: str) -> None:
        """Carry out one statement outside of a transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def run_cluster(binaries: Path, *settings: str) -> Iterator[Cluster]:
    """A server on a free port of loopback; ``settings`` instead of the careless ones."""
    runs_as: dict[str, Any] = (
        {"user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []} if os.geteuid() == 0 else {}
    )
    memory = Path("/dev/shm")  # a cluster is a thousand small files
    folder = Path(tempfile.mkdtemp(prefix="postgres-", dir=memory if os.access(memory, os.W_OK) else None))
    try:
        if runs_as:
            account = pwd.getpwnam(SYSTEM_USER)
            os.chown(folder, account.pw_uid, account.pw_gid)
        data, log = folder / "data", (folder / "log").open("wb")
        initdb_command = [
            "initdb",
            "-D",
            str(data),
            "-A",
            "trust",
            "-U",
            "app",
            "--no-sync",
            "-E",
            "UTF8",
            "--locale=C",
        ]
        subprocess.run(
            [binaries / initdb_command[0], *initdb_command[1:]],
            check=True,
            cwd=folder,
            stdout=log,
            stderr=log,
            **runs_as,
        )
        port = free_port()
        server_settings = (f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}")
        server = [
            str(binaries / "postgres"),
            "-D",
            str(data),
            *_setting_options((*server_settings, *(settings or UNSAFE_SETTINGS))),
        ]
        process = subprocess.Popen(server, cwd=folder, stdout=log, stderr=log, **runs_as)
        try:
            _wait_until_ready(process, Cluster(port))
            yield Cluster(port)
        finally:
            process.terminate()
            _stop(process)
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _setting_options(settings: Sequence[str]) -> list[str]:
    return [option for setting in settings for option in ("-c", setting)]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait_until_ready(process: subprocess.Popen[bytes], cluster: Cluster) -> None:
    deadline = time.monotonic() + 30
    while True:
        try:
            return cluster.execute("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > deadline:
                raise
            time.sleep(0.03)


def _stop(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:  # a client holds on; SIGQUIT ends it at once
        process.send_signal(3)
        process.wait(10)
