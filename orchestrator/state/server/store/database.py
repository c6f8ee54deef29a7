"""Connect to the database: engine, transactions, clock and migrations.

SQLite is one file with one writer at a time; PostgreSQL can be shared by several replicas of the service.
"""

from __future__ import annotations

import select
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, Engine, Table, create_engine, event, literal, literal_column, text
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DisconnectionError, SQLAlchemyError

from orchestrator.problems import Problems

DEFAULT_THREADS = 10
"""Threads for requests that have none of their own (``routing.THREADS_BY_GROUP``)."""
POOL_SIZE, MAX_POOL_OVERFLOW = 5, 13
"""Connections kept open, and further ones under load: together one for every thread."""
HEAD_REVISION = "0004"
"""The newest migration; a database at this revision needs no migration and so no alembic, which loads slowly."""
MIGRATION_LOCK_ID = 0x0BC4E57A
"""Advisory lock on PostgreSQL that lets only one of several starting replicas run migrations."""

Clock = Callable[[], float]


def create_database_engine(url: str) -> Engine:
    """Return the engine for a URL such as ``sqlite:///state.db`` or ``postgresql://user@host/name``.

    Raises Problems if the URL is malformed or names another kind of database.
    """
    try:
        parsed_url = make_url(url)
    except (SQLAlchemyError, ValueError):
        raise Problems.from_message(
            "the database URL is malformed", hint="use a URL such as `--database sqlite:///state.db`"
        ) from None
    if parsed_url.drivername in {"postgres", "postgresql"}:
        parsed_url = parsed_url.set(drivername="postgresql+psycopg")
    if parsed_url.drivername == "postgresql+psycopg":
        return _create_postgresql_engine(parsed_url)
    if parsed_url.drivername == "sqlite":
        return _create_sqlite_engine(parsed_url)
    raise Problems.from_message(
        f"unsupported database {parsed_url.drivername}: use SQLite or PostgreSQL",
        hint="set `--database postgresql://USER@HOST/NAME` or `--database sqlite:///state.db`",
    )


def _create_postgresql_engine(url: Any) -> Engine:
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=MAX_POOL_OVERFLOW, pool_timeout=10)

    @event.listens_for(engine, "checkout")
    def _check_connection(connection: Any, _: Any, __: Any) -> None:
        # A server that closed the connection made the socket readable; polling needs no round trip, unlike a ping.
        poller = select.poll()
        poller.register(connection.fileno(), select.POLLIN)
        if poller.poll(0):
            raise DisconnectionError

    return engine


def _create_sqlite_engine(url: Any) -> Engine:
    if url.database and url.database != ":memory:":
        Path(url.database).parent.mkdir(parents=True, exist_ok=True)
    engine = (
        create_engine(url, pool_size=POOL_SIZE, max_overflow=MAX_POOL_OVERFLOW, pool_timeout=30)
        if url.database
        else None
    )
    if engine is None:
        raise Problems.from_message(
            "an in-memory database loses all records when the service stops",
            hint="use a file: `--database sqlite:///state.db`",
        )

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # BEGIN is issued below
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA busy_timeout=20000")
        connection.execute("PRAGMA cache_size=-16000")

    @event.listens_for(engine, "begin")
    def _begin_transaction(connection: Connection) -> None:
        # Lock at once for writing: SQLite cannot upgrade a read transaction while another one writes.
        is_write = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    return engine


@contextmanager
def read_connection(engine: Engine) -> Iterator[Connection]:
    """Open a connection for queries: one snapshot for all on SQLite, autocommit on PostgreSQL."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":  # saves the round trips of BEGIN and ROLLBACK
            connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


def dialect_insert(connection: Connection, table: Table) -> Any:
    """Return an INSERT in the dialect of the database, which supports ON CONFLICT."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """Open a write transaction; commits if the block succeeds, else rolls back."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


def current_time(connection: Connection, clock: Clock) -> float:
    """Return Unix seconds by the clock that all replicas share: PostgreSQL's, else ``clock``."""
    if clock is time.time and connection.dialect.name == "postgresql":
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return clock()


def current_time_column(connection: Connection, clock: Clock) -> ColumnElement[Any]:
    """Return ``current_time`` as a column of a query."""
    if clock is time.time and connection.dialect.name == "postgresql":
        return literal_column("extract(epoch FROM clock_timestamp())")
    return literal(clock())


def migrate(engine: Engine) -> None:
    """Migrate the schema to the newest revision.

    Raises Problems if the database cannot be used, or if a newer version of this program created it.
    """
    if _current_revision(engine) == HEAD_REVISION:
        return
    from alembic import command
    from alembic.config import Config
    from alembic.util import CommandError

    config = Config()
    config.set_main_option("script_location", "orchestrator.state.server:migrations")
    config.set_main_option("path_separator", "os")
    try:
        with write_transaction(engine) as connection:
            if connection.dialect.name == "postgresql":
                connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": MIGRATION_LOCK_ID})
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
    except CommandError:
        raise Problems.from_message(
            "the database was written by a newer version of orchestrator", hint="upgrade orchestrator"
        ) from None
    except SQLAlchemyError as error:
        first_line = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise Problems.from_message(
            f"cannot use the database: {first_line}",
            hint="check that the database is running and accepts the credentials",
        ) from None


def is_disk_full(error: object) -> bool:
    """Return whether a database error says that the database's disk is full."""
    cause = getattr(error, "orig", None)
    return getattr(cause, "sqlstate", "") == "53100" or "disk is full" in str(cause)


def _current_revision(engine: Engine) -> str:
    """Return the current revision of the schema; "" if there is none or it cannot be read."""
    try:
        with read_connection(engine) as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
    except SQLAlchemyError:
        return ""
