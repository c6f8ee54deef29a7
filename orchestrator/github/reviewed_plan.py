"""Record a reviewed plan in a hidden marker of the plan comment.  Pure.

The marker maps the address of every pending change to a hash of all that it does, so that a later plan can be compared
change by change.  ``review_evidence`` checks that the comment was made by the plan workflow.
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

MAX_MARKER_CHARACTERS: Final = 18_000
"""Longest marker.  A plan whose changes do not fit is compared by its digest alone."""
MAX_DECOMPRESSED_BYTES: Final = 4_000_000
"""Largest decompressed payload of a marker."""

_MARKER_PATTERN: Final = re.compile(r"<!-- orchestrator:seen ([A-Za-z0-9+/=]+) -->")


class ReviewedPlan(Struct, frozen=True):
    """A plan's ``digest`` and the hashes of its changes by address; no hashes if they did not fit.

    ``approval`` is that of the Project whose plan it is, "" if the comment does not say.
    """

    digest: str
    changes: Mapping[str, str] = field(default_factory=dict)
    approval: str = ""

    def has_reviewed(self, change: Change) -> bool:
        """Return whether exactly this change was reviewed."""
        return self.changes.get(change.address) == hash_change(change)


def from_plan(plan: Plan, approval: str = "") -> ReviewedPlan:
    """Return the reviewed form of ``plan``, whose Project has this ``approval``."""
    changes = {change.address: hash_change(change) for change in plan.pending_changes}
    return ReviewedPlan(plan.digest, changes, approval)


def hash_change(change: Change) -> str:
    """Return the SHA-256 of a change with its fields and calls, as 64 hexadecimal digits.

    Never shortened: whoever can search for a second change with the same hash could have a harmless one reviewed.
    """
    return canonical_json.digest((change.address, change.action, change.physical, change.fields, change.steps))


def create_marker(plan: Plan, approval: str = "") -> tuple[str, ReviewedPlan]:
    """Return the hidden line of a comment, and the reviewed plan that it holds."""
    reviewed_plan = from_plan(plan, approval)
    marker = _format_marker(reviewed_plan)
    if len(marker) > MAX_MARKER_CHARACTERS:
        reviewed_plan = ReviewedPlan(plan.digest, approval=approval)
        marker = _format_marker(reviewed_plan)
    return marker, reviewed_plan


def parse_marker(body: str) -> ReviewedPlan | None:
    """Return the reviewed plan that a comment holds; None if there is no valid marker.

    Only its last line is one: above it, the comment shows values of manifests, which may look like a marker.
    """
    marker_match = _MARKER_PATTERN.fullmatch(body.strip().rpartition("\n")[2].strip())
    if marker_match is None:
        return None
    try:
        decompressor = zlib.decompressobj()
        data = decompressor.decompress(base64.b64decode(marker_match[1], validate=True), MAX_DECOMPRESSED_BYTES)
        payload = json.loads(data)
        changes = {str(address): str(digest) for address, digest in payload["changes"].items()}
        return ReviewedPlan(str(payload["digest"]), changes, str(payload.get("approval", "")))
    except (ValueError, zlib.error, KeyError, TypeError, AttributeError):
        return None


def _format_marker(reviewed_plan: ReviewedPlan) -> str:
    compressed = zlib.compress(canonical_json.dump(reviewed_plan), 9)
    return f"<!-- orchestrator:seen {base64.b64encode(compressed).decode()} -->"
