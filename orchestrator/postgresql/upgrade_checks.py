"""Find what keeps RDS from upgrading a database to another major version. Reads a database; judges purely.

Source: Amazon RDS User Guide, "How to perform a major version upgrade for RDS for PostgreSQL".
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from msgspec import Struct

from orchestrator.postgresql.connection import ConnectionTarget, query
from orchestrator.problems import Problem

UNSUPPORTED_TYPES = (
    "regcollation", "regconfig", "regdictionary", "regnamespace", "regoper", "regoperator", "regproc", "regprocedure",
)  # fmt: skip
"""Types that pg_upgrade cannot carry over (its documentation, "Limitations")."""
_COLUMNS_SQL = f"""
SELECT format('%s.%I', c.oid::regclass, a.attname) AS name, format_type(a.atttypid, NULL) AS type
FROM pg_attribute a JOIN pg_class c ON c.oid = a.attrelid JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_type t ON t.oid = a.atttypid
WHERE NOT a.attisdropped AND a.attnum > 0 AND c.relkind IN ('r', 'p', 'm', 'f')
  AND n.nspname NOT IN ('pg_catalog', 'information_schema')
  AND t.typname IN ({", ".join(repr(name) for name in UNSUPPORTED_TYPES)})"""  # noqa: S608 - constants only
_EXTENSIONS_SQL = "SELECT extname AS name, extversion AS version FROM pg_extension WHERE extname <> 'plpgsql'"


class UpgradeFindings(Struct, frozen=True):
    """What a database has that an upgrade meets: columns by type, transactions, slots, and extensions by version."""

    columns: tuple[tuple[str, str], ...] = ()
    prepared_transactions: tuple[str, ...] = ()
    replication_slots: tuple[str, ...] = ()
    extensions: Mapping[str, str] = {}


def read_findings(target: ConnectionTarget) -> UpgradeFindings:
    """Return the findings of a database. Raises Problems."""
    return UpgradeFindings(
        tuple((item["name"], item["type"]) for item in query(target, _COLUMNS_SQL)),
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
