"""Where a page of a listing ended: opaque words for clients, places for queries."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from orchestrator.problems import Problems


def cursor(*place: object) -> str:
    """The place after which a page ends, as an opaque word."""
    return base64.urlsafe_b64encode(msgspec.json.encode(place)).decode().rstrip("=")


def opened(cursor: str, *kinds: type) -> list[Any]:
    """The members of a place, of these kinds.  Raises Problems when the word is none of ours."""
    try:
        place = msgspec.json.decode(base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str | int])
    except (binascii.Error, ValueError, msgspec.DecodeError):
        place = []
    if [type(one) for one in place] != [*kinds]:
        raise Problems.one("the cursor is none of ours", hint="begin again without a cursor")
    return place


def number(cursor: str) -> int:
    """A place that is one number.  Raises Problems."""
    place: int = opened(cursor, int)[0]
    if abs(place) > 2**31 - 1:
        raise Problems.one("the cursor is none of ours", hint="begin again without a cursor")
    return place
