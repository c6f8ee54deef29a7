"""Paginate a list by NextToken and MaxResults, as AWS's JSON services do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TypeVar

from orchestrator.emulator.errors import AwsError

T = TypeVar("T")


def paginate(
    items: Sequence[T], size: int, token: str | None, code: str = "InvalidRequestException"
) -> tuple[list[T], str | None]:
    """Return one page of ``items`` and the next token, None at the end. Raises AwsError ``code`` for a bad token."""
    try:
        start = int(token) if token else 0
    except ValueError as error:
        raise AwsError(code, "The pagination token is not valid.") from error
    end = start + size
    return list(items[start:end]), str(end) if end < len(items) else None
