"""Run one PostgreSQL server for each DB instance of an emulated account.

Work takes seconds, so every method that changes a server returns a future; work on one instance happens in order. The
endpoint of an instance name is an address of its own on loopback, always with the port that was asked for.
"""

from __future__ import annotations

import itertools
import os
import secrets
import shutil
import threading
from collections.abc import Callable, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import datetime
from pathlib import Path

from orchestrator.emulator.database_engine import backups
from orchestrator.emulator.database_engine.backups import HEARTBEAT_DATABASE, ContinuousBackup
from orchestrator.emulator.database_engine.certificates import CertificateAuthority
from orchestrator.emulator.database_engine.data_folder import create_data_folder
from orchestrator.emulator.database_engine.postgres_server import (
    EngineError,
    PostgresServer,
    copy_folder,
    find_binaries,
    find_system_user,
)
from orchestrator.emulator.service_base import DatabaseSettings

MAX_ADDRESSES = 250
_MASTER_ROLES_SQL = """
CREATE ROLE rds_superuser; GRANT pg_monitor, pg_signal_backend TO rds_superuser; CREATE ROLE rds_password;
CREATE ROLE {user} LOGIN CREATEDB CREATEROLE; GRANT rds_superuser TO {user};
"""


@dataclass
class _Database:
    server: PostgresServer
    name: str
    settings: DatabaseSettings
    lock: threading.Lock = field(default_factory=threading.Lock)
    backup: ContinuousBackup | None = None
    backup_count: int = 0
    last_job: Future[None] | None = None


class PostgresEngine:
    """All servers of one emulator, below one temporary folder. Instances are named by their DbiResourceId."""

    def __init__(self) -> None:
        self._root, self._folder_lock = create_data_folder()
        user = find_system_user()
        if user is not None:
            os.chown(self._root, user.pw_uid, user.pw_gid)
        self._root.chmod(0o711)
        self._authority = CertificateAuthority()
        self._databases: dict[str, _Database] = {}
        self._retained: dict[str, ContinuousBackup] = {}
        self._addresses: dict[str, str] = {}
        # Two emulators on one machine must not share an address; 127.0.0.0/24 is for everything else.
        self._network = f"127.{secrets.randbelow(254) + 1}.{secrets.randbelow(255)}"
        self._numbers = itertools.count(1)
        self._template_lock = threading.Lock()
        self._owner_pid = os.getpid()
        self._pool = ThreadPoolExecutor(8, thread_name_prefix="emulator-rds")

    @property
    def ca_bundle(self) -> str:
        """Return the certificate of the authority that issues the servers' certificates, in PEM."""
        return self._authority.bundle

    def address(self, name: str) -> str:
        """Return the IP address of an instance name; as RDS's host names, it is the same whenever the name is used."""
        if name not in self._addresses:
            self._addresses[name] = f"{self._network}.{len(self._addresses) % MAX_ADDRESSES + 1}"
        return self._addresses[name]

    def create(self, resource_id: str, name: str, settings: DatabaseSettings) -> Future[None]:
        """Start an empty server with the master user and the database of the settings."""
        database = self._add(resource_id, name, settings)

        def work() -> None:
            copy_folder(self._template(settings.major_version), database.server.data)
            self._configure(database)
            database.backup = backups.begin(database.server, self._backup_folder(database))
            self._start(database)
            self._create_master(database)

        return self._submit(database, work)

    def restore_snapshot(self, resource_id: str, name: str, settings: DatabaseSettings, snapshot: str) -> Future[None]:
        """Start a server with the data of a snapshot."""
        database = self._add(resource_id, name, settings)

        def work() -> None:
            copy_folder(self._snapshot_folder(snapshot), database.server.data)
            self._start(database)

        return self._submit(database, work)

    def restore_time(
        self, resource_id: str, name: str, settings: DatabaseSettings, source_id: str, target: datetime | None
    ) -> Future[None]:
        """Start a server with the data that another one, which may be gone, had at ``target`` or has now."""
        database = self._add(resource_id, name, settings)

        def work() -> None:
            backup = self._flushed_backup(source_id)
            copy_folder(backup.full_copy, database.server.data)
            database.server.write_file("recovery.signal", "")
            self._start(database, backups.recovery_settings(backup, target))

        return self._submit(database, work)

    def take_snapshot(self, resource_id: str, snapshot: str) -> Future[None]:
        """Copy the data of an instance."""
        database = self._databases[resource_id]

        def work() -> None:
            folder = self._snapshot_folder(snapshot)
            self._make_folder(folder.parent)
            if database.server.is_running:
                database.server.copy_to(folder)
            else:
                copy_folder(database.server.data, folder)

        return self._submit(database, work)

    def delete_snapshot(self, snapshot: str) -> None:
        """Delete the copy of a snapshot."""
        shutil.rmtree(self._snapshot_folder(snapshot), ignore_errors=True)

    def earliest_restorable_time(self, resource_id: str) -> datetime | None:
        """Return the first moment that an instance, or one that is gone, can be restored to, or None."""
        database = self._databases.get(resource_id)
        backup = database.backup if database else self._retained.get(resource_id)
        return backup.earliest if backup else None

    def stop_instance(self, resource_id: str) -> Future[None]:
        """Stop a server and keep its data."""
        database = self._databases[resource_id]
        return self._submit(database, lambda: self._stop(database))

    def start_instance(self, resource_id: str, settings: DatabaseSettings) -> Future[None]:
        """Start or restart a server with these settings."""
        database = self._databases[resource_id]

        def work() -> None:
            self._stop(database)
            database.settings = settings
            self._start(database)

        return self._submit(database, work)

    def reconfigure(self, resource_id: str, settings: DatabaseSettings) -> Future[None]:
        """Apply settings that need no restart."""
        database = self._databases[resource_id]

        def work() -> None:
            database.settings = settings
            self._configure(database)
            if database.server.is_running:
                database.server.reload()

        return self._submit(database, work)

    def pending_restart(self, resource_id: str) -> bool:
        """Return whether a changed parameter waits for a restart."""
        database = self._databases[resource_id]
        if not database.server.is_running:
            return False
        return database.server.execute("SELECT count(*) FROM pg_settings WHERE pending_restart") != "0"

    def set_password(self, resource_id: str, password: str) -> Future[None]:
        """Change the master password."""
        database = self._databases[resource_id]
        return self._submit(database, lambda: self._alter_password(database, password))

    def rename(self, resource_id: str, name: str) -> Future[None]:
        """Restart a server at the address of another name."""
        database = self._databases[resource_id]

        def work() -> None:
            self._stop(database)
            database.name = name
            self._start(database)

        return self._submit(database, work)

    def delete(self, resource_id: str, *, keep_backup: bool) -> Future[None]:
        """Delete a server and its data, and its backup unless that is kept."""
        database = self._databases[resource_id]

        def work() -> None:
            if keep_backup and database.backup is not None:
                if database.server.is_running:
                    backups.flush(database.server)
                self._retained[resource_id] = database.backup
            self._stop(database)
            self._databases.pop(resource_id, None)
            if not keep_backup:
                shutil.rmtree(self._root / "backups" / resource_id, ignore_errors=True)
            shutil.rmtree(database.server.data.parent, ignore_errors=True)

        return self._submit(database, work)

    def stop_all(self, *, is_final: bool = True) -> None:
        """Stop every server and delete all data. In a fork, leave the parent's servers alone."""
        if self._owner_pid != os.getpid():
            return
        databases, self._databases = self._databases, {}
        for database in databases.values():
            if database.last_job is not None:
                database.last_job.exception()
            database.server.kill()
        self._retained.clear()
        for folder in ("instances", "backups", "snapshots") if not is_final else (".",):
            shutil.rmtree(self._root / folder, ignore_errors=True)
        if is_final:
            self._folder_lock.close()
            self._pool.shutdown(wait=False, cancel_futures=True)

    def _add(self, resource_id: str, name: str, settings: DatabaseSettings) -> _Database:
        binaries = find_binaries(settings.major_version)
        assert binaries is not None, "the engine requires PostgreSQL"
        folder = self._root / "instances" / str(next(self._numbers))
        self._make_folder(folder)
        database = _Database(PostgresServer(binaries, folder), name, settings)
        self._databases[resource_id] = database
        return database

    def _submit(self, database: _Database, work: Callable[[], None]) -> Future[None]:
        """Run work in the background, after the earlier work on the same database."""
        previous = database.last_job

        def run() -> None:
            if previous is not None:
                previous.exception()
            with database.lock:
                work()

        database.last_job = self._pool.submit(run)
        return database.last_job

    def _template(self, major_version: str) -> Path:
        """Return the data folder of an empty cluster, created once."""
        with self._template_lock:
            folder = self._root / "templates" / (major_version or "default")
            binaries = find_binaries(major_version)
            assert binaries is not None
            server = PostgresServer(binaries, folder)
            if not server.data.exists():
                self._make_folder(folder)
                server.create()
            return server.data

    def _start(self, database: _Database, extra_settings: Mapping[str, str] | None = None) -> None:
        """Start a server at the address of its name, and begin its continuous backup."""
        self._configure(database, extra_settings or {})
        database.server.start()
        if extra_settings:
            self._configure(database)
        if HEARTBEAT_DATABASE not in database.server.execute("SELECT datname FROM pg_database").split():
            database.server.execute(f"CREATE DATABASE {HEARTBEAT_DATABASE}")
        if database.backup is None:
            database.backup = backups.begin(database.server, self._backup_folder(database))

    def _configure(self, database: _Database, extra_settings: Mapping[str, str] | None = None) -> None:
        settings, server, address = database.settings, database.server, self.address(database.name)
        certificate, key = self._authority.issue(f"{database.name}.{settings.host_suffix}", address)
        server.write_file("server.crt", certificate)
        server.write_file("server.key", key)
        archive = self._make_folder(self._backup_folder(database) / "wal").parent
        server.configure(
            {
                "listen_addresses": address,
                "port": str(settings.port),
                **backups.archive_settings(archive),
                **settings.parameters,
                **(extra_settings or {}),
            },
            requires_tls=settings.requires_tls,
        )

    def _create_master(self, database: _Database) -> None:
        settings = database.settings
        user = _quote_name(settings.master_user)
        database.server.execute(_MASTER_ROLES_SQL.format(user=user))
        self._alter_password(database, settings.master_password)
        if settings.database:
            database.server.execute(f"CREATE DATABASE {_quote_name(settings.database)} OWNER {user}")

    def _alter_password(self, database: _Database, password: str) -> None:
        user, literal = _quote_name(database.settings.master_user), password.replace("'", "''")
        database.settings = replace(database.settings, master_password=password)
        database.server.execute(f"SET log_statement = none; ALTER ROLE {user} PASSWORD '{literal}'")

    def _stop(self, database: _Database) -> None:
        if database.server.is_running and database.backup is not None:
            backups.flush(database.server)
        database.server.stop()

    def _flushed_backup(self, resource_id: str) -> ContinuousBackup:
        """Return the backup of an instance with the log up to now. Raises EngineError if there is none."""
        database = self._databases.get(resource_id)
        if database is None:
            if resource_id not in self._retained:
                raise EngineError("the source has no backup")
            return self._retained[resource_id]
        with database.lock:
            if database.server.is_running:
                backups.flush(database.server)
            if database.backup is None:
                raise EngineError("the source has no backup")
            return database.backup

    def _backup_folder(self, database: _Database) -> Path:
        resource_id = next(key for key, item in self._databases.items() if item is database)
        return self._make_folder(self._root / "backups" / resource_id)

    def _snapshot_folder(self, snapshot: str) -> Path:
        return self._root / "snapshots" / snapshot

    def _make_folder(self, folder: Path) -> Path:
        """Create a folder below the root that the servers' user owns."""
        user = find_system_user()
        for path in reversed([folder, *(parent for parent in folder.parents if parent.is_relative_to(self._root))]):
            if not path.exists():
                path.mkdir(mode=0o700)
                if user is not None:
                    os.chown(path, user.pw_uid, user.pw_gid)
        return folder


def _quote_name(name: str) -> str:
    escaped_name = name.replace('"', '""')
    return f'"{escaped_name}"'
