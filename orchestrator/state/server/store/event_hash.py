"""Hash the events of a run; the audit log contains this hash in the entry of the run's end.  Pure."""

from __future__ import annotations

import hashlib


def extend_hash(events_hash: str, body: str) -> str:
    """Return the hash of all events including one more, given as canonical JSON; the hash of no events is ""."""
    return hashlib.sha256(f"{events_hash}{body}".encode()).hexdigest()
