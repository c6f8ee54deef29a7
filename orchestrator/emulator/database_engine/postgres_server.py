"""Run one PostgreSQL server process in its own folder, and the tools that work on it."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

SUPERUSER = "rdsadmin"
"""RDS's own superuser; a customer never gets it."""
SYSTEM_USERS = ("postgres", "nobody")
"""Users that the server runs as where the emulator runs as root, which PostgreSQL refuses."""
START_TIMEOUT_SECONDS = 60.0
STOP_TIMEOUT_SECONDS = 30.0
POLL_INTERVAL_SECONDS = 0.05
_WATCHER_SCRIPT = 'exec 3<&0 < /dev/null; (cat <&3 > /dev/null; kill -QUIT $$ 2> /dev/null) & exec "$@" 3<&-'
"""Becomes the server, and stops it when standard input ends: it never outlives an emulator that was killed."""
_HBA_LINES = (
    "local all {superuser} trust",
    "local replication {superuser} trust",
    "host all {superuser} all reject",
    "hostssl all all all scram-sha-256",
)
_PLAIN_TEXT_LINE = "hostnossl all all all scram-sha-256"
_FIXED_SETTINGS = {
    "ssl": "on",
    "ssl_cert_file": "server.crt",
    "ssl_key_file": "server.key",
    "wal_level": "replica",
    "archive_mode": "on",
    "hot_standby": "off",
    "shared_buffers": "16MB",
    "fsync": "off",  # nothing of an emulator outlives its machine
    "timezone": "UTC",
    "password_encryption": "scram-sha-256",
    "min_wal_size": "4MB",
    "max_wal_size": "64MB",
}


class EngineError(Exception):
    """PostgreSQL refused or failed; the message is the end of its output."""


def find_binaries(major: str = "") -> Path | None:
    """Return the folder with the programs of this major version, else of the newest one, or None without PostgreSQL."""
    folders = sorted(
        Path("/usr/lib/postgresql").glob("*/bin/initdb"), key=lambda path: float(path.parts[-3]), reverse=True
    )
    candidates = [path for path in folders if path.parts[-3] == major] or folders
    initdb = candidates[0] if candidates else shutil.which("initdb")
    return Path(initdb).resolve().parent if initdb else None


def find_system_user() -> pwd.struct_passwd | None:
    """Return the user that servers run as, or None for the emulator's own."""
    if os.geteuid() != 0:
        return None
    for name in SYSTEM_USERS:
        with contextlib.suppress(KeyError):
            return pwd.getpwnam(name)
    return None


class PostgresServer:
    """A server in ``folder``: data in ``data``, its socket and log beside it."""

    def __init__(self, binaries: Path, folder: Path) -> None:
        self._binaries = binaries
        self._folder = folder
        self._user = find_system_user()
        self._process: subprocess.Popen[bytes] | None = None
        self.data = folder / "data"

    def create(self) -> None:
        """Create an empty cluster with the superuser ``rdsadmin``, reachable through the socket only."""
        initdb_options = ["-U", SUPERUSER, "-A", "trust", "-E", "UTF8", "--locale=C.UTF-8", "--no-sync", "-k"]
        # Small segments reach the archive sooner, and make snapshots small.
        self.run_tool("initdb", "-D", str(self.data), *initdb_options, "--wal-segsize=1")

    def own(self, path: Path) -> None:
        """Give a new file or folder to the user that the server runs as."""
        if self._user is not None:
            os.chown(path, self._user.pw_uid, self._user.pw_gid)

    def write_file(self, name: str, text: str, mode: int = 0o600) -> None:
        """Write a file into the data folder."""
        path = self.data / name
        path.write_text(text)
        path.chmod(mode)
        self.own(path)

    def configure(self, settings: Mapping[str, str], *, requires_tls: bool) -> None:
        """Write the settings and the access rules; they apply from the next start or reload."""
        all_settings = {**_FIXED_SETTINGS, "unix_socket_directories": str(self._folder), **settings}
        lines = [f"{name} = '{_escape(value)}'" for name, value in all_settings.items()]
        self.write_file("postgresql.conf", "\n".join([*lines, ""]))
        access_lines = [*_HBA_LINES, *(() if requires_tls else (_PLAIN_TEXT_LINE,))]
        self.write_file("pg_hba.conf", "\n".join([*access_lines, ""]).format(superuser=SUPERUSER))

    def start(self) -> None:
        """Start the server and wait until it accepts writes, after its recovery. Raises EngineError."""
        (self.data / "postmaster.pid").unlink(missing_ok=True)
        command = [str(self._binaries / "postgres"), "-D", str(self.data)]
        with (self._folder / "log").open("ab") as log:
            self._process = subprocess.Popen(
                ["/bin/sh", "-c", _WATCHER_SCRIPT, "sh", *command],
                stdin=subprocess.PIPE, stdout=log, stderr=log, cwd=self._folder, env=_clean_environment(),
                start_new_session=True, **self._run_as(),
            )  # fmt: skip
        deadline = time.monotonic() + START_TIMEOUT_SECONDS
        while not self._accepts_writes():
            if self._process.poll() is not None or time.monotonic() > deadline:
                self.kill()
                raise EngineError(self.read_log_tail())
            time.sleep(POLL_INTERVAL_SECONDS)

    @property
    def is_running(self) -> bool:
        """Return whether the server was started and not stopped."""
        return self._process is not None

    def stop(self) -> None:
        """Stop the server in order: clients are disconnected, everything is written."""
        if self._process is not None:
            self._process.send_signal(signal.SIGINT)
            with contextlib.suppress(subprocess.TimeoutExpired):
                self._process.wait(STOP_TIMEOUT_SECONDS)
        self.kill()

    def kill(self) -> None:
        """Stop the server at once."""
        process, self._process = self._process, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()
        process.wait()

    def reload(self) -> None:
        """Read the settings again."""
        self.execute("SELECT pg_reload_conf()")

    def execute(self, sql: str, database: str = "postgres") -> str:
        """Run SQL as the superuser and return the unaligned rows. Raises EngineError."""
        options = ["-X", "-q", "-A", "-t", "-v", "ON_ERROR_STOP=1", "-h", str(self._folder), "-p", self._port()]
        return self.run_tool("psql", *options, "-U", SUPERUSER, "-d", database, stdin=sql).strip()

    def copy_to(self, folder: Path) -> None:
        """Copy the running server's data, consistent at the end of the copy, into a new folder."""
        options = ["-h", str(self._folder), "-p", self._port(), "-U", SUPERUSER, "-D", str(folder)]
        self.run_tool("pg_basebackup", *options, "-X", "stream", "-c", "fast", "--no-sync", "--no-manifest")

    def run_tool(self, program: str, *arguments: str, stdin: str = "") -> str:
        """Run one of PostgreSQL's programs and return its output. Raises EngineError."""
        completed = subprocess.run(
            [str(self._binaries / program), *arguments],
            input=stdin, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, cwd=self._folder, check=False,
            env=_clean_environment(), timeout=600, **self._run_as(),
        )  # fmt: skip
        if completed.returncode:
            raise EngineError(f"{program}: {completed.stdout.strip()[-1500:]}")
        return str(completed.stdout)

    def read_log_tail(self) -> str:
        """Return the last lines of the server's log."""
        try:
            return "\n".join((self._folder / "log").read_text(errors="replace").splitlines()[-12:])
        except OSError:
            return ""

    def _accepts_writes(self) -> bool:
        if not (self._folder / f".s.PGSQL.{self._port()}").exists():
            return False
        try:
            return self.execute("SELECT pg_is_in_recovery()") == "f"
        except EngineError:
            return False

    def _port(self) -> str:
        match = re.search(r"^port = '(\d+)'", (self.data / "postgresql.conf").read_text(), re.MULTILINE)
        return match[1] if match else "5432"

    def _run_as(self) -> dict[str, Any]:
        if self._user is None:
            return {}
        return {"user": self._user.pw_uid, "group": self._user.pw_gid, "extra_groups": []}


def copy_folder(source: Path, target: Path) -> None:
    """Copy a data folder with owners and modes, by reference where the file system can. Raises EngineError."""
    shutil.rmtree(target, ignore_errors=True)
    completed = subprocess.run(
        ["cp", "-a", "--reflink=auto", str(source), str(target)], capture_output=True, text=True, check=False
    )
    if completed.returncode:
        raise EngineError(completed.stderr.strip()[-1500:])


def _escape(value: str) -> str:
    return value.replace("\\", "\\\\").replace("'", "''")


def _clean_environment() -> dict[str, str]:
    """Return our environment without the variables with which a user points PostgreSQL's programs elsewhere."""
    return {name: value for name, value in os.environ.items() if not name.startswith("PG")}
