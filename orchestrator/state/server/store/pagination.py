"""Encode and decode the cursors of paginated lists."""

from __future__ import annotations

import base64
import binascii
from typing import Any

import msgspec

from orchestrator.problems import Problems


def encode_cursor(*position: object) -> str:
    """Return the position after a page as an opaque string."""
    return base64.urlsafe_b64encode(msgspec.json.encode(position)).decode().rstrip("=")


def decode_cursor(cursor: str, *member_types: type) -> list[Any]:
    """Return the members of a position, of these types.  Raises Problems if the cursor is invalid."""
    try:
        position = msgspec.json.decode(
            base64.urlsafe_b64decode(cursor + "=" * (-len(cursor) % 4)), type=list[str | int]
        )
    except (binascii.Error, ValueError, msgspec.DecodeError):
        position = []
    if [type(member) for member in position] != [*member_types]:
        raise Problems.from_message("invalid cursor", hint="use the cursor of the previous page, or start without one")
    return position


def decode_number(cursor: str) -> int:
    """Return a position that is one number.  Raises Problems if the cursor is invalid."""
    position: int = decode_cursor(cursor, int)[0]
    if abs(position) > 2**31 - 1:
        raise Problems.from_message("invalid cursor", hint="use the cursor of the previous page, or start without one")
    return position
