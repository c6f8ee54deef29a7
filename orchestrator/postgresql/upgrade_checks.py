"""Find what keeps RDS from upgrading a database to another major version. Reads a database; judges purely.

Source: Amazon RDS User Guide, "How to perform a major version upgrade for RDS for PostgreSQL".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.postgresql.connection import ConnectionTarget, query
from orchestrator.postgresql.inventory import quote
from orchestrator.problems import Problem

UNSUPPORTED_TYPES = (
    "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure",
)  # fmt: skip
"""Types that pg_upgrade cannot carry over (its documentation, "Limitations")."""
FIRST_MAJOR_WITH_NEW_ACLITEM = 16
"""The internal format of ``aclitem`` changed in PostgreSQL 16, so pg_upgrade refuses columns of an older server."""
_COLUMNS_SQL = """
WITH RECURSIVE uses (type, base) AS (
  SELECT oid, typbasetype FROM pg_type WHERE typtype = 'd' UNION ALL
  SELECT oid, typelem FROM pg_type WHERE typelem <> 0 UNION ALL
  SELECT rngtypid, rngsubtype FROM pg_range UNION ALL
  SELECT c.reltype, a.atttypid FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid
    WHERE c.reltype <> 0 AND a.attnum > 0 AND NOT a.attisdropped
), unsupported (type) AS (
  SELECT oid FROM pg_type WHERE typnamespace = 'pg_catalog'::regnamespace AND typname IN ({types}) UNION
  SELECT u.type FROM uses u JOIN unsupported s ON u.base = s.type
)
SELECT format('%s.%I', c.oid::regclass, a.attname) AS name, format_type(a.atttypid, NULL) AS type
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE NOT a.attisdropped AND a.attnum > 0 AND c.relkind IN ('r', 'p', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema') AND n.nspname !~ '^pg_(toast|temp)'
  AND a.atttypid IN (SELECT type FROM unsupported) ORDER BY 1"""
"""Columns of these types, and of domains, arrays, ranges and composite types made of them: pg_upgrade does so."""
_EXTENSIONS_SQL = "SELECT extname AS name, extversion AS version FROM pg_extension WHERE extname <> 'plpgsql'"


class UpgradeFindings(Struct, frozen=True):
    """What a database has that an upgrade meets: columns by type, transactions, slots, and extensions by version."""

    columns: tuple[tuple[str, str], ...] = ()
    prepared_transactions: tuple[str, ...] = ()
    replication_slots: tuple[str, ...] = ()
    extensions: Mapping[str, str] = {}


def list_unsupported_types(current: str, target_version: str) -> tuple[str, ...]:
    """Return the types that pg_upgrade cannot carry over from one version, such as ``15.14``, to another."""
    majors = [int(version.partition(".")[0]) for version in (current, target_version)]
    is_acl_changed = majors[0] < FIRST_MAJOR_WITH_NEW_ACLITEM <= majors[1]
    return (*UNSUPPORTED_TYPES, *(("aclitem",) if is_acl_changed else ()))


def read_findings(target: ConnectionTarget, types: Iterable[str] = UNSUPPORTED_TYPES) -> UpgradeFindings:
    """Return the findings of a database; ``types`` are those that cannot be carried over. Raises Problems."""
    columns = query(target, _COLUMNS_SQL.format(types=", ".join(map(quote, types))))
    return UpgradeFindings(
        tuple((item["name"], item["type"]) for item in columns),
        tuple(item["gid"] for item in query(target, "SELECT gid FROM pg_prepared_xacts")),
        tuple(
            item["slot_name"]
            for item in query(target, "SELECT slot_name FROM pg_replication_slots WHERE slot_type = 'logical'")
        ),
        {item["name"]: item["version"] for item in query(target, _EXTENSIONS_SQL)},
    )


def judge(findings: UpgradeFindings) -> Iterator[Problem]:
    """Yield what has to be removed before an upgrade."""
    for name, type_name in findings.columns:
        hint = (
            f"change its type: ALTER TABLE ... ALTER COLUMN ... TYPE text  (pg_upgrade cannot carry over {type_name})"
        )
        yield Problem(f"column {name} has the type {type_name}", hint=hint)
    for gid in findings.prepared_transactions:
        yield Problem(
            f"the prepared transaction {gid} is open", hint=f"end it: ROLLBACK PREPARED '{gid}', or COMMIT PREPARED"
        )
    for slot in findings.replication_slots:
        hint = f"drop it: SELECT pg_drop_replication_slot('{slot}'); create it again after the upgrade"
        yield Problem(f"the logical replication slot {slot} exists", hint=hint)


def check_target(versions: Iterable[Mapping[str, Any]], current: str, target: str) -> Iterator[Problem]:
    """Yield why RDS does not upgrade ``current`` to ``target``; ``versions`` are DBEngineVersions of ``current``."""
    targets = [
        str(item["EngineVersion"])
        for version in versions
        if version.get("EngineVersion") == current
        for item in version.get("ValidUpgradeTarget") or ()
    ]
    if not any(item == target or item.startswith(f"{target}.") for item in targets):
        majors = ", ".join(dict.fromkeys(item.partition(".")[0] for item in targets)) or "none"
        yield Problem(f"RDS cannot upgrade PostgreSQL {current} to {target}", hint=f"possible versions: {majors}")
