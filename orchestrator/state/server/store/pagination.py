"""Where a page of a listing ended: opaque words for clients, places for queries."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from orchestrator.problems import Problems


def encode_cursor(*position: object) -> str:
    """The place after which a page ends, as an opaque word."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(cursor: str, *member_types: type) -> list[Any]:
    """The members of a place, of these kinds.  Raises Problems when the word is none of ours."""
    try:
        position = msgspec.json.decode(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str | int]
        )
    except (binascii.Error, ValueError, msgspec.DecodeError):
        position = []
    if [type(member) for member in position] != [*member_types]:
        raise Problems.from_message("the cursor is none of ours", hint="begin again without a cursor")
    return position


def decode_number(cursor: str) -> int:
    """A place that is one number.  Raises Problems."""
    position: int = decode_cursor(cursor, int)[0]
    if abs(position) > 2**31 - 1:
        raise Problems.from_message("the cursor is none of ours", hint="begin again without a cursor")
    return position
