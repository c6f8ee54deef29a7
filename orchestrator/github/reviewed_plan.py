"""What a reviewer has seen of a plan, small enough to be hidden in a comment.  Pure.

Every pending change by its address and a hash of all that it does, so that a plan made later can be compared change by
change.  A commit status holds the hash of this, and GitHub lets nobody rewrite a status: a comment that was edited by
hand is noticed.
"""

from __future__ import annotations

import base64
import json
import re
import zlib
from collections.abc import Mapping
from typing import Final

from msgspec import Struct, field

from orchestrator import canonical_json
from orchestrator.vocabulary import Change, Plan

LONGEST: Final = 18_000
"""Characters of the marker.  A plan whose changes do not fit is compared by its digest alone."""
BOMB: Final = 4_000_000
"""Bytes that a marker may unfold to."""

_MARKER: Final = re.compile(r"<!-- orchestrator:seen ([A-Za-z0-9+/=]+) -->")


class Seen(Struct, frozen=True):
    """A plan's ``digest`` and its changes: hash by address; none where they did not fit."""

    digest: str
    changes: Mapping[str, str] = field(default_factory=dict)

    @property
    def seal(self) -> str:
        """What the commit status says of it."""
        return canonical_json.digest(self)[:16]

    def covers(self, change: Change) -> bool:
        """Whether this very change was shown."""
        return self.changes.get(change.address) == hash_of(change)


def of(plan: Plan) -> Seen:
    """What somebody who reads ``plan`` sees."""
    return Seen(plan.digest, {change.address: hash_of(change) for change in plan.pending})


def hash_of(change: Change) -> str:
    """One change, with its fields and its calls, in 12 hexadecimal digits."""
    deed = (change.address, change.action, change.physical, change.fields, change.steps)
    return canonical_json.digest(deed)[:12]


def write(plan: Plan) -> tuple[str, Seen]:
    """The hidden line of a comment, and what it says."""
    seen = of(plan)
    line = _line(seen)
    if len(line) > LONGEST:
        seen = Seen(plan.digest)
        line = _line(seen)
    return line, seen


def read(body: str) -> Seen | None:
    """What a comment hides; None where that is nothing that we wrote."""
    found = _MARKER.search(body)
    if found is None:
        return None
    try:
        unfold = zlib.decompressobj()
        data = unfold.decompress(base64.b64decode(found[1], validate=True), BOMB)
        held = json.loads(data)
        changes = {str(address): str(digest) for address, digest in held["changes"].items()}
        return Seen(str(held["digest"]), changes)
    except (ValueError, zlib.error, KeyError, TypeError, AttributeError):
        return None


def _line(seen: Seen) -> str:
    packed = zlib.compress(canonical_json.dump(seen), 9)
    return f"<!-- orchestrator:seen {base64.b64encode(packed).decode()} -->"
