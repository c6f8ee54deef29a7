"""Create a database beside another one on its server, for a rehearsal, and drop it afterwards."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from msgspec.structs import replace

from orchestrator.postgresql.connection import ConnectionTarget, execute, query
from orchestrator.postgresql.inventory import quote
from orchestrator.problems import Problems

SUFFIX = "_rehearsal"
MAX_NAME_BYTES = 63
COMMENT = "made by orchestrator migrate database --rehearse"


@contextmanager
def rehearsal_database(target: ConnectionTarget) -> Iterator[ConnectionTarget]:
    """Yield an empty database with the settings of ``target``, which is dropped in the end, also one that was left.

    Raises Problems if a database of this name exists that no rehearsal has made.
    """
    copy = replace(target, database=target.database[: MAX_NAME_BYTES - len(SUFFIX)] + SUFFIX)
    _drop(target, copy.database)
    name = _quote_name(copy.database)
    execute(target, f"CREATE DATABASE {name} TEMPLATE template0;\nCOMMENT ON DATABASE {name} IS {quote(COMMENT)};")
    try:
        yield copy
    finally:
        _drop(target, copy.database)


def _drop(target: ConnectionTarget, name: str) -> None:
    """Drop the database if there is one. Raises Problems if it is somebody else's."""
    databases = query(
        target,
        "SELECT shobj_description(oid, 'pg_database') AS comment, pg_get_userbyid(datdba) = current_user AS is_owned "  # noqa: S608
        f"FROM pg_database WHERE datname = {quote(name)}",
    )
    if not databases:
        return
    if databases[0] != {"comment": COMMENT, "is_owned": True}:
        raise Problems.from_message(
            f"the database {name} already exists on the server and was not created by a rehearsal; nothing was changed",
            hint=f"rename or drop it: ALTER DATABASE {_quote_name(name)} RENAME TO ...",
        )
    execute(target, f"DROP DATABASE {_quote_name(name)} WITH (FORCE);")


def _quote_name(name: str) -> str:
    escaped_name = name.replace('"', '""')
    return f'"{escaped_name}"'
