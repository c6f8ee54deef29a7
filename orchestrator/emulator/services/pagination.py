"""Pages of a list, by the NextToken and MaxResults that AWS's JSON services share."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from orchestrator.emulator.errors import AwsError

T = TypeVar("T")


def paginate(
    items: Sequence[T], size: int, token: str | None, code: str = "InvalidRequestException"
) -> tuple[list[T], str | None]:
    """One page of ``items`` and the token of the next, or None at the end.  A token not ours raises ``code``."""
    try:
        start = int(token) if token else 0
    except ValueError as error:
        raise AwsError(code, "The pagination token is not valid.") from error
    end = start + size
    return list(items[start:end]), str(end) if end < len(items) else None
