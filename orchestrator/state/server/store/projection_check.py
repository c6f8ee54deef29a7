"""Compare the tables that pages and API read with what the history says: each is projected again, beside them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import msgspec
from sqlalchemy import Connection, Engine, Row, Table, select, update

from orchestrator.state.protocol.records import AuditEntry, RunResult
from orchestrator.state.server.store import history_chain
from orchestrator.state.server.store import tables as t
from orchestrator.state.server.store.database import create_database_engine, write_transaction
from orchestrator.state.server.store.event_hash import extend_hash
from orchestrator.state.server.store.projection import project_entry

PROJECTED_TABLES = (
    t.environments,
    t.runs,
    t.plans,
    t.costs,
    t.releases,
    t.drifts,
    t.decisions,
    t.pull_requests,
    t.pull_request_fields,
    t.models,
)
_COLUMNS_OF_EVENTS = frozenset({"sequence", "events_hash", "fence"})
"""Columns of ``runs`` that follow from the events, which are verified by themselves."""
EMPTY_VALUES: tuple[Any, ...] = (None, "", 0, False, [], {})


def verify_projections(connection: Connection, entries: Iterable[AuditEntry]) -> None:
    """Raise Problems that name the first row that differs from the history, is missing, or is in no entry."""
    with _temporary_engine() as engine, write_transaction(engine) as rebuilt:
        for entry in entries:
            if entry.deed == "run.end":
                _restore_sequence(connection, rebuilt, entry)
            project_entry(rebuilt, entry)
        for table in PROJECTED_TABLES:
            _compare_table(table, connection, rebuilt)
        _verify_event_columns(connection)


@contextmanager
def _temporary_engine() -> Iterator[Engine]:
    with tempfile.TemporaryDirectory(prefix="orchestrator-verify-") as folder:
        engine = create_database_engine(f"sqlite:///{Path(folder) / 'rebuilt.db'}")
        try:
            t.metadata.create_all(engine)
            yield engine
        finally:
            engine.dispose()


def _restore_sequence(connection: Connection, rebuilt: Connection, entry: AuditEntry) -> None:
    """Set the number of the last event that the run had at its end, which the hash in the entry identifies."""
    expected_hash = msgspec.json.decode(entry.payload, type=RunResult).events_hash
    sequence, events_hash = 0, ""
    query = select(t.events.c.body).where(t.events.c.run == entry.subject).order_by(t.events.c.sequence)
    for body in connection.execute(query).scalars():
        if events_hash == expected_hash:
            break
        sequence, events_hash = sequence + 1, extend_hash(events_hash, body)
    rebuilt.execute(update(t.runs).where(t.runs.c.id == entry.subject).values(sequence=sequence))


def _compare_table(table: Table, connection: Connection, rebuilt: Connection) -> None:
    columns = [column for column in table.columns if not (table is t.runs and column.name in _COLUMNS_OF_EVENTS)]
    expected = {key: _hash_row(row) for key, row in _iter_rows(table, columns, rebuilt)}
    for key, row in _iter_rows(table, columns, connection):
        digest = expected.pop(key, None)
        if digest == _hash_row(row):
            continue
        if digest is None or not _is_same_row(row, _read_row(table, columns, key, rebuilt)):
            raise _difference(table, key, "differs from the history")
    for key in expected:
        raise _difference(table, key, "is missing")


def _iter_rows(table: Table, columns: list[Any], connection: Connection) -> Iterator[tuple[tuple[Any, ...], Row[Any]]]:
    """Yield the key of every row, and the row."""
    key_names = [column.name for column in table.primary_key.columns]
    for row in connection.execute(select(*columns)):
        yield tuple(row._mapping[name] for name in key_names), row


def _read_row(table: Table, columns: list[Any], key: tuple[Any, ...], connection: Connection) -> Row[Any]:
    key_columns = table.primary_key.columns
    is_key = [column == value for column, value in zip(key_columns, key, strict=True)]
    return connection.execute(select(*columns).where(*is_key)).one()


def _hash_row(row: Row[Any]) -> bytes:
    """Return a hash of a row as it was written: of two rows written by one version, it decides without reading them."""
    return hashlib.sha256(repr(tuple(row)).encode()).digest()


def _is_same_row(first: Row[Any], second: Row[Any]) -> bool:
    return list(map(_normalise, first)) == list(map(_normalise, second))


def _normalise(value: Any) -> Any:
    """Return a column without what says nothing: an older version did not write fields that were added since.

    A record in JSON is compared without its empty members, in the order of their names.
    """
    if not (isinstance(value, str) and value.startswith("{")):
        return value
    try:
        return _drop_empty(msgspec.json.decode(value))
    except msgspec.DecodeError:
        return value


def _drop_empty(value: Any) -> Any:
    match value:
        case dict():
            members = {name: _drop_empty(member) for name, member in sorted(value.items())}
            return {name: member for name, member in members.items() if member not in EMPTY_VALUES}
        case list():
            return [_drop_empty(item) for item in value]
    return value


def _verify_event_columns(connection: Connection) -> None:
    """Check that every run names the last of its events."""
    for row in connection.execute(select(t.runs.c.id, t.runs.c.sequence, t.runs.c.events_hash)).all():
        sequence, events_hash = 0, ""
        query = select(t.events.c.body).where(t.events.c.run == row.id).order_by(t.events.c.sequence)
        for body in connection.execute(query).scalars():
            sequence, events_hash = sequence + 1, extend_hash(events_hash, body)
        if (row.sequence, row.events_hash) != (sequence, events_hash):
            raise history_chain.tampering_problem(f"the events of run {row.id} were changed after they were written")


def _difference(table: Table, key: tuple[Any, ...], message: str) -> Exception:
    return history_chain.tampering_problem(f"{table.name} {' '.join(map(str, key))} {message}")
