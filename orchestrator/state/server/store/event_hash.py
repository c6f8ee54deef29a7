"""The events of a run as one hash, which its end puts into the history's chain.  Pure."""

from __future__ import annotations

import hashlib


def extend_hash(events_hash: str, body: str) -> str:
    """The hash of all events so far and one more, in its canonical JSON; "" before the first."""
    return hashlib.sha256(f"{events_hash}{body}".encode()).hexdigest()
