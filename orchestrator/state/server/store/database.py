"""The database: its engine, its transactions, its clock, and the schema brought up to date.

SQLite is one file with one writer at a time; PostgreSQL is shared by several replicas of the service.
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

POOL_SIZE, MAX_POOL_OVERFLOW = 5, 5
"""Connections that are kept, and those beyond it while there is a rush."""
HEAD_REVISION = "0002"
"""The newest step of ``state.migrations``; a database that stands there needs none, nor alembic, which loads slowly."""
MIGRATION_LOCK_ID = 0x0BC4E57A
"""Held on PostgreSQL while the schema is brought up to date, so that two replicas that start do not both do it."""

Clock = Callable[[], float]


def create_database_engine(url: str) -> Engine:
    """The engine for a database URL: ``sqlite:///state.db``, ``postgresql://user@host/name``.

    Raises Problems: a URL that is none, or a database of another kind.
    """
    try:
        parsed_url = make_url(url)
    except SQLAlchemyError:
        raise Problems.from_message("the database's URL cannot be read", hint="--database sqlite:///state.db") from None
    if parsed_url.drivername in {"postgres", "postgresql"}:
        parsed_url = parsed_url.set(drivername="postgresql+psycopg")
    if parsed_url.drivername == "postgresql+psycopg":
        return _create_postgresql_engine(parsed_url)
    if parsed_url.drivername == "sqlite":
        return _create_sqlite_engine(parsed_url)
    raise Problems.from_message(
        f"the state service keeps its records in SQLite or PostgreSQL, not in {parsed_url.drivername}",
        hint="--database postgresql://USER@HOST/NAME",
    )


def _create_postgresql_engine(url: Any) -> Engine:
    engine = create_engine(url, pool_size=POOL_SIZE, max_overflow=MAX_POOL_OVERFLOW, pool_timeout=10)

    @event.listens_for(engine, "checkout")
    def _check_connection(connection: Any, _: Any, __: Any) -> None:
        # A server that has gone said so on the socket: looking there takes no answer from it, as a ping would.
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
            "a state service in memory forgets all at once", hint="--database sqlite:///state.db"
        )

    @event.listens_for(engine, "connect")
    def _set_pragmas(connection: Any, _: Any) -> None:
        connection.isolation_level = None  # we say BEGIN ourselves, below
        connection.execute("PRAGMA journal_mode=WAL")
        connection.execute("PRAGMA synchronous=NORMAL")
        connection.execute("PRAGMA busy_timeout=20000")
        connection.execute("PRAGMA cache_size=-16000")

    @event.listens_for(engine, "begin")
    def _begin_transaction(connection: Connection) -> None:
        # A writer takes its place at once: a reader that becomes a writer cannot wait for another.
        is_write = connection.get_execution_options().get("writes")
        connection.exec_driver_sql("BEGIN IMMEDIATE" if is_write else "BEGIN")

    return engine


@contextmanager
def read_connection(engine: Engine) -> Iterator[Connection]:
    """A connection for queries: on SQLite they all see one state, on PostgreSQL each sees what is there."""
    with engine.connect() as connection:
        if connection.dialect.name == "postgresql":  # neither BEGIN nor ROLLBACK is asked of the server
            connection.execution_options(isolation_level="AUTOCOMMIT")
        yield connection


def dialect_insert(connection: Connection, table: Table) -> Any:
    """An INSERT into ``table`` that can say what to do when the row is there; of this database's dialect."""
    if connection.dialect.name == "postgresql":
        from sqlalchemy.dialects import postgresql

        return postgresql.insert(table)
    from sqlalchemy.dialects import sqlite

    return sqlite.insert(table)


@contextmanager
def write_transaction(engine: Engine) -> Iterator[Connection]:
    """A transaction; it holds if the block ends well."""
    with engine.connect().execution_options(writes=True) as connection, connection.begin():
        yield connection


def current_time(connection: Connection, clock: Clock) -> float:
    """Unix seconds by the clock all replicas share: PostgreSQL's own, or ``clock`` where there is one process."""
    if clock is time.time and connection.dialect.name == "postgresql":
        return float(connection.execute(text("SELECT extract(epoch FROM clock_timestamp())")).scalar_one())
    return clock()


def current_time_column(connection: Connection, clock: Clock) -> ColumnElement[Any]:
    """The same as a column, for a query that is made anyway."""
    if clock is time.time and connection.dialect.name == "postgresql":
        return literal_column("extract(epoch FROM clock_timestamp())")
    return literal(clock())


def migrate(engine: Engine) -> None:
    """Bring the schema up to date.

    Raises Problems when the database cannot be reached, or is of a newer version of this program.
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
            "the database was written by a newer orchestrator", hint="run the version that wrote it, or a newer one"
        ) from None
    except SQLAlchemyError as error:
        first_line = str(getattr(error, "orig", None) or error).strip().partition("\n")[0]
        raise Problems.from_message(
            f"the database cannot be used: {first_line}", hint="see that it runs and lets us in"
        ) from None


def _current_revision(engine: Engine) -> str:
    """The step at which the schema stands; "" where there is none yet, or nobody can say."""
    try:
        with read_connection(engine) as connection:
            return str(connection.execute(text("SELECT version_num FROM alembic_version")).scalar() or "")
    except SQLAlchemyError:
        return ""
