"""Append to and verify the hash chain of the history: each entry contains the hash of the previous one.

Changing, removing or inserting an entry breaks every hash after it; ``verify_entries`` names the first.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Iterator
from typing import Any

from msgspec.structs import replace
from sqlalchemy import Connection, insert, select, update

from orchestrator import canonical_json
from orchestrator.problems import Problems
from orchestrator.state.protocol.records import AuditEntry
from orchestrator.state.server.store import tables as t

GENESIS_HASH = "0" * 64
BATCH_SIZE = 500


def hash_entry(entry: AuditEntry) -> str:
    """Return the hash of an entry: SHA-256 over all fields but the hash itself."""
    fields = (entry.number, entry.at, entry.by, entry.deed, entry.environment, entry.subject, entry.payload)
    return hashlib.sha256(canonical_json.dump((*fields, entry.previous))).hexdigest()


def lock_chain(connection: Connection) -> tuple[int, str]:
    """Return the number and hash of the last entry; locks out other writers until the transaction ends."""
    row = connection.execute(select(t.chain.c.number, t.chain.c.hash).where(t.chain.c.id == 1).with_for_update()).one()
    return row.number, row.hash


def append_entry(connection: Connection, draft: AuditEntry) -> AuditEntry:
    """Append an entry, filling in its number and hashes, and return it."""
    number, previous = lock_chain(connection)
    entry = replace(draft, number=number + 1, previous=previous)
    entry = replace(entry, hash=hash_entry(entry))
    insert_entry(connection, entry)
    return entry


def insert_entry(connection: Connection, entry: AuditEntry) -> None:
    """Insert an entry that has its number and hashes."""
    connection.execute(insert(t.history).values(**_entry_columns(entry)))
    connection.execute(update(t.chain).where(t.chain.c.id == 1).values(number=entry.number, hash=entry.hash))


def iter_entries(connection: Connection, after_number: int = 0) -> Iterator[AuditEntry]:
    """Yield all entries after ``after_number``, in order, read in batches."""
    while True:
        query = (
            select(t.history).where(t.history.c.number > after_number).order_by(t.history.c.number).limit(BATCH_SIZE)
        )
        rows = connection.execute(query).all()
        for row in rows:
            yield AuditEntry(**row._mapping)
        if len(rows) < BATCH_SIZE:
            return
        after_number = rows[-1].number


def verify_entries(history_entries: Iterable[AuditEntry]) -> tuple[int, str]:
    """Verify a chain from its first entry; return the number and hash of its last one.

    Raises Problems that name the first entry that was changed or is missing.
    """
    number, previous = 0, GENESIS_HASH
    for entry in history_entries:
        if entry.number != number + 1:
            raise tampering_problem(f"entry {number + 1} of the history is missing")
        if entry.previous != previous or entry.hash != hash_entry(entry):
            raise tampering_problem(
                f"entry {entry.number} of the history ({entry.deed}, {entry.at}) was changed after it was written"
            )
        number, previous = entry.number, entry.hash
    return number, previous


def tampering_problem(message: str) -> Problems:
    """Return the Problems for a history that was tampered with."""
    return Problems.from_message(
        message, hint="compare it with an earlier export: orchestrator history verify EXPORT.jsonl"
    )


def _entry_columns(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}
