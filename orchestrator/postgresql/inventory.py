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

from orchestrator.postgresql.connection import ConnectionTarget, execute, query

MAX_SESSIONS = 4
LARGE_OBJECTS = "(large objects)"
_OWN_SCHEMAS = (
    "n.nspname NOT IN ('pg_catalog', 'information_schema', 'orchestrator_migration') "
    "AND n.nspname !~ '^pg_(toast|temp)'"
)
_NOT_OF_EXTENSION = "NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = {oid} AND d.deptype = 'e')"
_TABLES_SQL = f"""
SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_table_size(c.oid) AS bytes,
  (SELECT min(format('%I', a.attname)) FROM pg_attribute a WHERE a.attrelid = c.oid AND NOT a.attisdropped
     AND a.attnum > 0 AND a.atttypid IN ('timestamptz'::regtype, 'timestamp'::regtype)
     AND a.attname ~* 'creat|insert|date|time|_at$') AS time_column
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND c.relpersistence = 'p' AND {_OWN_SCHEMAS} AND {_NOT_OF_EXTENSION.format(oid="c.oid")}
ORDER BY 1"""  # noqa: S608 - constants only
_OBJECTS_SQL = f"""
SELECT 'constraint' AS kind, format('%I on %s', k.conname, k.conrelid::regclass) AS name,
  pg_get_constraintdef(k.oid) || CASE WHEN k.convalidated THEN '' ELSE ' NOT VALID' END AS definition
FROM pg_constraint k JOIN pg_namespace n ON n.oid = k.connamespace
WHERE k.conrelid <> 0 AND k.contype <> 'n' AND {_OWN_SCHEMAS}
UNION ALL
SELECT 'index', i.indexrelid::regclass::text, pg_get_indexdef(i.indexrelid)
FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE {_OWN_SCHEMAS} AND i.indisvalid
UNION ALL
SELECT 'column', format('%s.%I', a.attrelid::regclass, a.attname), format_type(a.atttypid, a.atttypmod)
  || CASE WHEN a.attnotnull THEN ' NOT NULL' ELSE '' END || a.attgenerated::text || a.attidentity::text
  || coalesce(' DEFAULT ' || pg_get_expr(x.adbin, x.adrelid), '')
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
LEFT JOIN pg_attrdef x ON x.adrelid = a.attrelid AND x.adnum = a.attnum
WHERE a.attnum > 0 AND NOT a.attisdropped AND c.relkind IN ('r', 'p', 'f') AND {_OWN_SCHEMAS}
  AND {_NOT_OF_EXTENSION.format(oid="c.oid")}
UNION ALL
SELECT 'view', c.oid::regclass::text, pg_get_viewdef(c.oid) || CASE WHEN c.relispopulated THEN '' ELSE ' (empty)' END
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('v', 'm') AND {_OWN_SCHEMAS} AND {_NOT_OF_EXTENSION.format(oid="c.oid")}
UNION ALL
SELECT 'function', p.oid::regprocedure::text, md5(pg_get_functiondef(p.oid))
FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace
WHERE p.prokind IN ('f', 'p') AND {_OWN_SCHEMAS} AND {_NOT_OF_EXTENSION.format(oid="p.oid")}
UNION ALL
SELECT 'trigger', format('%I on %s', t.tgname, t.tgrelid::regclass), pg_get_triggerdef(t.oid)
FROM pg_trigger t JOIN pg_class c ON c.oid = t.tgrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT t.tgisinternal AND {_OWN_SCHEMAS}
UNION ALL
SELECT 'type', t.oid::regtype::text,
  coalesce((SELECT string_agg(quote_literal(e.enumlabel), ', ' ORDER BY e.enumsortorder) FROM pg_enum e
    WHERE e.enumtypid = t.oid), t.typtype::text)
FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
WHERE t.typtype IN ('e', 'd', 'r') AND {_OWN_SCHEMAS} AND {_NOT_OF_EXTENSION.format(oid="t.oid")}
UNION ALL
SELECT 'foreign table', c.oid::regclass::text, s.srvname
FROM pg_foreign_table f JOIN pg_class c ON c.oid = f.ftrelid JOIN pg_foreign_server s ON s.oid = f.ftserver
JOIN pg_namespace n ON n.oid = c.relnamespace WHERE {_OWN_SCHEMAS}
UNION ALL
SELECT 'partition', c.oid::regclass::text, pg_get_expr(c.relpartbound, c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE c.relispartition AND c.relkind IN ('r', 'p')
  AND {_OWN_SCHEMAS}"""  # noqa: S608 - constants only
_SEQUENCES_SQL = f"""
SELECT format('%I.%I', n.nspname, c.relname) AS name, pg_sequence_last_value(c.oid)::text AS value
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'S' AND {_OWN_SCHEMAS} AND {_NOT_OF_EXTENSION.format(oid="c.oid")}"""  # noqa: S608 - constants only
_LARGE_OBJECTS_SQL = """
SELECT count(*)::text AS rows, coalesce(sum(('x' || substr(md5(oid::text || md5(lo_get(oid))), 1, 15))::bit(60)::bigint
  ::numeric), 0)::text AS checksum FROM pg_largeobject_metadata"""


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
    def rows(self) -> int:
        """Return the number of rows in all tables."""
        return sum(table.rows for table in self.tables.values())


def read_inventory(target: ConnectionTarget, *, with_checksums: bool = True, row_hash: str = "md5") -> Inventory:
    """Read a database: definitions, exact row counts and, unless told otherwise, checksums by ``row_hash``.

    Raises Problems.
    """
    header = query(
        target,
        "SELECT current_setting('server_version') AS version, pg_database_size(current_database()) AS bytes, "
        "pg_encoding_to_char(encoding) AS encoding, datcollate AS collation, "
        "current_setting('max_connections') AS max_connections, current_user AS username "
        "FROM pg_database WHERE datname = current_database()",
    )[0]
    tables = query(target, _TABLES_SQL)
    contents = _read_contents(target, tables, ROW_HASHES[row_hash] if with_checksums else "")
    large_objects = query(target, _LARGE_OBJECTS_SQL if with_checksums else "SELECT 0 AS rows, '' AS checksum")[0]
    if int(large_objects["rows"]):
        contents[LARGE_OBJECTS] = TableContent(int(large_objects["rows"]), large_objects["checksum"])
    extensions = query(target, "SELECT extname AS name, extversion AS version FROM pg_extension")
    return Inventory(
        version=header.pop("version"),
        bytes=header.pop("bytes"),
        tables=contents,
        table_bytes={table["name"]: table["bytes"] for table in tables},
        objects={(item["kind"], item["name"]): item["definition"] for item in query(target, _OBJECTS_SQL)},
        sequences={item["name"]: item["value"] for item in query(target, _SEQUENCES_SQL)},
        extensions={item["name"]: item["version"] for item in extensions},
        settings=header,
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
