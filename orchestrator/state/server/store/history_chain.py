"""The history's chain: every record that is written is a link, and each link holds the hash of the one before.

Whoever changes a link, leaves one out or puts one in breaks every hash after it; ``verify`` names the first.
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
    """The hash of an entry: SHA-256 over everything but the hash itself."""
    fields = (entry.number, entry.at, entry.by, entry.deed, entry.environment, entry.subject, entry.payload)
    return hashlib.sha256(canonical_json.dump((*fields, entry.previous))).hexdigest()


def lock_chain(connection: Connection) -> tuple[int, str]:
    """The last link's number and hash; whoever asks is the only writer until its transaction ends."""
    row = connection.execute(select(t.chain.c.number, t.chain.c.hash).where(t.chain.c.id == 1).with_for_update()).one()
    return row.number, row.hash


def append_entry(connection: Connection, draft: AuditEntry) -> AuditEntry:
    """Make ``draft`` the last link; its number and hashes are filled in."""
    number, previous = lock_chain(connection)
    entry = replace(draft, number=number + 1, previous=previous)
    entry = replace(entry, hash=hash_entry(entry))
    insert_entry(connection, entry)
    return entry


def insert_entry(connection: Connection, entry: AuditEntry) -> None:
    """Write an entry that has its place."""
    connection.execute(insert(t.history).values(**_entry_columns(entry)))
    connection.execute(update(t.chain).where(t.chain.c.id == 1).values(number=entry.number, hash=entry.hash))


def iter_entries(connection: Connection, after_number: int = 0) -> Iterator[AuditEntry]:
    """All links after number ``after``, in order, fetched some at a time."""
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
    """Check a chain from its beginning; the number and hash of its last link.

    Raises Problems naming the first link that is not as it was written.
    """
    number, previous = 0, GENESIS_HASH
    for entry in history_entries:
        if entry.number != number + 1:
            raise tampering_problem(f"entry {number + 1} of the history is missing")
        if entry.previous != previous or entry.hash != hash_entry(entry):
            raise tampering_problem(
                f"entry {entry.number} of the history ({entry.deed}, {entry.at}) is not as it was written"
            )
        number, previous = entry.number, entry.hash
    return number, previous


def tampering_problem(message: str) -> Problems:
    """What is said of a history that was tampered with."""
    return Problems.from_message(message, hint="compare it with an export: orchestrator history verify EXPORT.jsonl")


def _entry_columns(entry: AuditEntry) -> dict[str, Any]:
    return {name: getattr(entry, name) for name in entry.__struct_fields__}
