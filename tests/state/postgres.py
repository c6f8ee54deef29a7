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

USER = "postgres"
"""Whom the server runs as where the tests run as root, which PostgreSQL refuses."""
CARELESS = ("fsync=off", "full_page_writes=off", "synchronous_commit=off")
"""Nobody needs the tests' databases after a crash."""
TEMPLATE = "made"


def binaries() -> Path | None:
    """The folder with ``initdb`` and ``postgres``; None where there is no PostgreSQL."""
    found = sorted(Path("/usr/lib/postgresql").glob("*/bin/initdb"))
    known = shutil.which("initdb") or (found[-1] if found else None)
    return Path(known).resolve().parent if known else None


class Cluster:
    """A running server; ``database`` makes another database on it."""

    def __init__(self, port: int) -> None:
        self.port = port
        self._numbers = count(1)
        self._has_template = False

    def url(self, name: str) -> str:
        """Where a database is."""
        return f"postgresql://app@127.0.0.1:{self.port}/{name}"

    def database(self, fill: Callable[[str], None] | None = None) -> str:
        """The URL of a new database; with ``fill`` it is a copy of one that ``fill`` has made, once."""
        name = f"t{next(self._numbers)}"
        if fill is not None and not self._has_template:
            self.do(f"CREATE DATABASE {TEMPLATE}")
            fill(self.url(TEMPLATE))
            self._has_template = True
        self.do(f"CREATE DATABASE {name}" + (f" TEMPLATE {TEMPLATE}" if fill else ""))
        return self.url(name)

    def drop(self, url: str) -> None:
        """Forget a database, whoever still uses it."""
        self.do(f"DROP DATABASE {url.rpartition('/')[2]} WITH (FORCE)")

    def do(self, statement: str) -> None:
        """Carry out one statement outside of a transaction."""
        with psycopg.connect(self.url("postgres"), autocommit=True) as connection:
            connection.execute(statement.encode())


@contextmanager
def cluster(binaries: Path, *settings: str) -> Iterator[Cluster]:
    """A server on a free port of loopback; ``settings`` instead of the careless ones."""
    runs_as: dict[str, Any] = {"user": USER, "group": USER, "extra_groups": []} if os.geteuid() == 0 else {}
    folder = Path(tempfile.mkdtemp(prefix="postgres-"))
    try:
        if runs_as:
            known = pwd.getpwnam(USER)
            os.chown(folder, known.pw_uid, known.pw_gid)
        data, log = folder / "data", (folder / "log").open("wb")
        make = ["initdb", "-D", str(data), "-A", "trust", "-U", "app", "--no-sync", "-E", "UTF8", "--locale=C"]
        subprocess.run([binaries / make[0], *make[1:]], check=True, cwd=folder, stdout=log, stderr=log, **runs_as)
        port = free_port()
        told = (f"port={port}", "listen_addresses=127.0.0.1", f"unix_socket_directories={folder}")
        server = [str(binaries / "postgres"), "-D", str(data), *_options((*told, *(settings or CARELESS)))]
        process = subprocess.Popen(server, cwd=folder, stdout=log, stderr=log, **runs_as)
        try:
            _wait(process, Cluster(port))
            yield Cluster(port)
        finally:
            process.terminate()
            _stopped(process)
            log.close()
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _options(settings: Sequence[str]) -> list[str]:
    return [word for setting in settings for word in ("-c", setting)]


def free_port() -> int:
    """A port of loopback that nobody listens on."""
    with socket.create_server(("127.0.0.1", 0)) as listener:
        return int(listener.getsockname()[1])


def _wait(process: subprocess.Popen[bytes], made: Cluster) -> None:
    until = time.monotonic() + 30
    while True:
        try:
            return made.do("SELECT 1")
        except psycopg.OperationalError:
            if process.poll() is not None or time.monotonic() > until:
                raise
            time.sleep(0.03)


def _stopped(process: subprocess.Popen[bytes]) -> None:
    try:
        process.wait(5)
    except subprocess.TimeoutExpired:  # a client holds on; SIGQUIT ends it at once
        process.send_signal(3)
        process.wait(10)
