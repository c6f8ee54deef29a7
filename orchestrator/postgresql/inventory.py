"""Read what a database contains, in a form that is equal for equal databases on different servers.

A table's checksum is the sum of a hash of every row as text: it does not depend on the order of the rows, and both
servers compute it the same way. PostgreSQL's own hash is several times as fast as MD5, but only promised to be the same
within a major version.
"""

from __future__ import annotations

from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from msgspec import Struct, field

from orchestrator.postgresql.catalog_queries import (
    HEADER_SQL,
    LARGE_OBJECTS_SQL,
    OBJECTS_SQL,
    SEQUENCES_SQL,
    TABLES_SQL,
)
from orchestrator.postgresql.connection import ConnectionTarget, execute, query, query_each

MAX_SESSIONS = 4
LARGE_OBJECTS = "(large objects)"


ROW_HASHES = {
    "fast": "hashtextextended(t::text, 0)",
    "md5": "('x' || substr(md5(t::text), 1, 15))::bit(60)::bigint",
}
"""Hash of a row as a bigint, whose sum PostgreSQL keeps in 128 bits."""


class TableContent(Struct, frozen=True):
    """The rows of a table: their number, their checksum ("" if not computed), and the newest time in them, or ""."""

    rows: int
    checksum: str = ""
    newest: str = ""


class Inventory(Struct, frozen=True):
    """The contents of a database. ``objects`` are definitions by kind and name, such as ``("index", "public.a_pkey")``.

    ``sequences`` hold the last value, None if the sequence was never used.
    """

    version: str
    bytes: int
    tables: Mapping[str, TableContent]
    table_bytes: Mapping[str, int]
    objects: Mapping[tuple[str, str], str]
    sequences: Mapping[str, str | None]
    extensions: Mapping[str, str]
    settings: Mapping[str, str] = field(default_factory=dict)

    @property
    def major(self) -> int:
        """Return the server's major version."""
        return int(self.version.partition(".")[0])

    @property
    def rows(self) -> int:
        """Return the number of rows in all tables."""
        return sum(table.rows for table in self.tables.values())


def read_inventory(target: ConnectionTarget, *, with_checksums: bool = True, row_hash: str = "md5") -> Inventory:
    """Read a database: definitions, exact row counts and, unless told otherwise, checksums by ``row_hash``.

    Raises Problems.
    """
    header, tables, large_objects, extensions, objects, sequences = query_each(
        target,
        HEADER_SQL,
        TABLES_SQL,
        LARGE_OBJECTS_SQL if with_checksums else "SELECT 0 AS rows, '' AS checksum",
        "SELECT extname AS name, extversion AS version FROM pg_extension",
        OBJECTS_SQL,
        SEQUENCES_SQL,
    )
    contents = _read_contents(target, tables, ROW_HASHES[row_hash] if with_checksums else "")
    if large_object_count := int(large_objects[0]["rows"]):
        contents[LARGE_OBJECTS] = TableContent(large_object_count, large_objects[0]["checksum"])
    return Inventory(
        version=header[0].pop("version"),
        bytes=header[0].pop("bytes"),
        tables=contents,
        table_bytes={table["name"]: table["bytes"] for table in tables},
        objects={(item["kind"], item["name"]): item["definition"] for item in objects},
        sequences={item["name"]: item["value"] for item in sequences},
        extensions={item["name"]: item["version"] for item in extensions},
        settings=header[0],
    )


def read_both(
    source: ConnectionTarget, target: ConnectionTarget, *, with_checksums: bool = True
) -> tuple[Inventory, Inventory]:
    """Read two databases at the same time, with checksums that can be compared. Raises Problems."""
    row_hash = choose_row_hash(source, target)
    with ThreadPoolExecutor(2, thread_name_prefix="inventory") as pool:
        futures = [
            pool.submit(read_inventory, item, with_checksums=with_checksums, row_hash=row_hash)
            for item in (source, target)
        ]
        return futures[0].result(), futures[1].result()


def choose_row_hash(source: ConnectionTarget, target: ConnectionTarget) -> str:
    """Return the fastest hash that both servers compute alike, for ``read_inventory``. Raises Problems."""
    versions = [
        query(item, "SELECT current_setting('server_version_num')::int / 10000 AS major") for item in (source, target)
    ]
    return "fast" if versions[0] == versions[1] else "md5"


def _read_contents(target: ConnectionTarget, tables: list[dict[str, Any]], row_hash: str) -> dict[str, TableContent]:
    """Count and hash the tables in a few sessions, the largest first."""
    ordered = sorted(tables, key=lambda table: -int(table["bytes"]))
    session_count = min(MAX_SESSIONS, len(ordered))
    groups = [ordered[start::session_count] for start in range(session_count)]
    with ThreadPoolExecutor(max(1, session_count), thread_name_prefix="inventory") as pool:
        results = pool.map(lambda group: _read_group(target, group, row_hash), groups)
        contents = {name: content for result in results for name, content in result}
    return {table["name"]: contents[table["name"]] for table in tables}


def _read_group(
    target: ConnectionTarget, tables: list[dict[str, Any]], row_hash: str
) -> list[tuple[str, TableContent]]:
    output = execute(target, "".join(_content_sql(table, row_hash) for table in tables), read_only=True)
    contents = []
    for table, line in zip(tables, output.splitlines(), strict=True):
        rows, checksum, newest = line.split("\t")
        contents.append((table["name"], TableContent(int(rows), checksum, newest)))
    return contents


def _content_sql(table: Mapping[str, Any], row_hash: str) -> str:
    checksum = f"coalesce(sum({row_hash}), 0)" if row_hash else quote("")
    newest = f"coalesce(max({table['time_column']})::text, '')" if table["time_column"] else "''"
    return f"SELECT count(*), {checksum}, {newest} FROM ONLY {table['name']} t;\n"  # noqa: S608


def quote(text: str) -> str:
    """Return text as an SQL literal."""
    escaped_text = text.replace("'", "''")
    return f"'{escaped_text}'"
